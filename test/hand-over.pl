# A service manager as far as sockets go: opens unix sockets, and for each line `start` on standard input starts
# the command with them. Tells `ready`, `started PID` and `ended STATUS`.
#   perl hand-over.pl NAME=PATH... -- COMMAND [ARGUMENT...]
# sd_listen_fds(3). A runtime's own sockets cannot be handed to a child; perl-base is on every Debian.
use strict;
use warnings;
use POSIX ();
use Socket;

my (@names, @aside);
while (defined(my $word = shift @ARGV)) {
    last if $word eq '--';
    my ($name, $path) = split /=/, $word, 2;
    my $directory = '';
    for my $part (split m{/}, $path =~ s{/[^/]*$}{}r) {
        $directory .= "$part/";
        mkdir $directory;
    }
    unlink $path;
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    bind($socket, pack_sockaddr_un($path)) or die "bind $path: $!";
    listen($socket, 64) or die "listen: $!";
    push @names, $name;
    # Out of the way: the places they shall have in the command may be taken by one of them.
    push @aside, POSIX::dup2(fileno($socket), 100 + @aside);
    close $socket;
}
$| = 1;
print "ready\n";
while (<STDIN>) {
    my $child = fork;
    if ($child == 0) {
        POSIX::dup2($aside[$_], 3 + $_) for 0 .. $#aside;
        POSIX::close($_) for @aside;
        $ENV{LISTEN_PID} = $$;
        $ENV{LISTEN_FDS} = scalar @names;
        $ENV{LISTEN_FDNAMES} = join ':', @names;
        exec { $ARGV[0] } @ARGV or die "exec $ARGV[0]: $!";
    }
    print "started $child\n";
    waitpid $child, 0;
    print 'ended ', $? & 127 ? 'by signal ' . ($? & 127) : $? >> 8, "\n";
}
