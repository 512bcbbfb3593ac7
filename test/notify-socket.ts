/**
 * The receiving end of sd_notify(3), as a service manager has it. Runtimes have no unix datagrams, so perl
 * receives them: a line per datagram, its newlines as `\n`.
 */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const SCRIPT = `
use strict; use Socket;
my $path = $ARGV[0];
$path =~ s/^@/\\0/;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($socket, pack_sockaddr_un($path)) or die $!;
$| = 1;
print "bound\\n";
while (defined recv($socket, my $text, 8192, 0)) { $text =~ s/\\n/\\\\n/g; print "$text\\n"; }
`

export interface NotifySocket extends Disposable {
  /** The next datagram. */
  next(): Promise<string>
}

/** Opens one at the address: a path, or `@name` in the abstract namespace. */
export async function notifySocket(address: string): Promise<NotifySocket> {
  const child = spawn('perl', ['-e', SCRIPT, address], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('nobody receives any more')
    return value.replaceAll('\\n', '\n')
  }
  await next()
  return { next, [Symbol.dispose]: () => void child.kill() }
}
