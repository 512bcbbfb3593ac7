/*
 * Traffic between two network namespaces, measured. One process enters the server's namespace, others the
 * client's; the parent stays where it was, waits, and prints one line of JSON:
 *   {"metric":"tcp_rr","value":156000,"unit":"1/s","p50us":6.3,"p99us":9.8}
 *
 *   stream   128 KiB writes; what the server has read in the measured time. One flow: client on the first
 *            processor, server on the second; several flows are not pinned.
 *   rr, urr  one byte there and back over TCP or UDP, both ends on one processor: across two it would be the
 *            processors' wake-ups that are measured.
 *   crr      connect, one byte there and back, close. The server closes first, so that it is the server that
 *            waits in TIME_WAIT and the client never runs out of ports.
 *   udp      18 bytes a datagram (64-byte frames over IPv4) as fast as they go; what arrives is counted.
 *   loss     one such datagram a millisecond; those that do not arrive are counted.
 *
 * Congestion control is cubic everywhere: pacing would hide the path.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000ull
#define MAX_FLOWS 16
#define MAX_SAMPLES (4u << 20)
#define BLOCK (128 * 1024)
#define DATAGRAM 18
#define WARM_UP_NS (NS / 10)
#define SLACK_SECONDS 5

enum mode { STREAM, RR, URR, CRR, UDP, LOSS };

static const struct { const char *name, *metric, *unit; } modes[] = {
    [STREAM] = {"stream", "tcp_stream", "Gbit/s"}, [RR] = {"rr", "tcp_rr", "1/s"},
    [URR] = {"urr", "udp_rr", "1/s"},              [CRR] = {"crr", "tcp_crr", "1/s"},
    [UDP] = {"udp", "udp_pps", "1/s"},             [LOSS] = {"loss", "lost_packets", "1"},
};

static struct {
    enum mode mode;
    const char *server_netns, *client_netns;
    struct sockaddr_storage server, bind; /* where the client finds the server, and where it is */
    socklen_t server_len;
    int flows;
    double seconds;
} opt = {.flows = 1, .seconds = 1};

/* Shared between the processes: every one writes only what is its own. */
static struct {
    double rate[MAX_FLOWS];
    uint64_t sent, arrived; /* datagrams of loss */
    uint32_t samples;       /* of `took`, written by the one client of rr, urr and crr */
    uint32_t took[MAX_SAMPLES];
} *shared;

static void die(const char *what, ...)
{
    va_list args;
    int error = errno;
    va_start(args, what);
    fputs("traffic: ", stderr);
    vfprintf(stderr, what, args);
    fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static uint64_t duration(void) { return (uint64_t)(opt.seconds * NS); }

static void enter(const char *path)
{
    if (!path) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) die("cannot enter %s", path);
    close(fd);
}

static void pin(int nth)
{
    cpu_set_t have, want;
    CPU_ZERO(&want);
    if (sched_getaffinity(0, sizeof have, &have)) die("sched_getaffinity");
    int count = CPU_COUNT(&have);
    for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &have) && seen++ == nth % count) CPU_SET(cpu, &want);
    if (sched_setaffinity(0, sizeof want, &want)) die("sched_setaffinity");
}

static bool datagrams(void) { return opt.mode == URR || opt.mode == UDP || opt.mode == LOSS; }

static int make_socket(void)
{
    int on = 1, fd = socket(opt.server.ss_family, datagrams() ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (!datagrams()) {
        if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5)) die("set congestion control cubic");
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("set TCP_NODELAY");
    }
    return fd;
}

static int listen_there(void)
{
    int on = 1, fd = make_socket();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&opt.bind, opt.server_len)) die("cannot bind to the server address");
    if (!datagrams() && listen(fd, 1024)) die("listen");
    return fd;
}

/* The address may still be unknown to the path for a moment: try for a second. */
static int connect_patiently(void)
{
    for (uint64_t until = now() + NS;;) {
        int fd = make_socket();
        if (!connect(fd, (void *)&opt.server, opt.server_len)) return fd;
        if (now() > until) die("cannot connect to the server");
        close(fd);
        usleep(10000);
    }
}

/* ---- server ---------------------------------------------------------------------------------------- */

static void serve_stream(int listener, int flow)
{
    char *buffer = malloc(BLOCK);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || !buffer) die("accept");
    uint64_t begin = 0, end = 0, bytes = 0, last = 0;
    for (ssize_t n; (n = read(fd, buffer, BLOCK)) > 0;) {
        uint64_t t = now();
        if (!begin) end = (begin = t + WARM_UP_NS) + duration();
        if (t < begin || t > end) continue;
        bytes += (uint64_t)n;
        last = t;
    }
    shared->rate[flow] = last > begin ? (double)bytes * 8 / (double)(last - begin) : 0;
}

static void serve_echo(int listener)
{
    char byte;
    if (opt.mode == URR) {
        struct sockaddr_storage from;
        for (;;) {
            socklen_t len = sizeof from;
            ssize_t n = recvfrom(listener, &byte, 1, 0, (void *)&from, &len);
            if (n < 0 || sendto(listener, &byte, 1, 0, (void *)&from, len) < 0) die("echo");
        }
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) die("accept");
        if (opt.mode == RR) {
            int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1) continue;
        } else if (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) != 1) {
            die("answer");
        }
        close(fd);
    }
}

static void serve_flood(int fd)
{
    enum { BATCH = 64 };
    static char space[BATCH][64];
    struct iovec io[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    for (int i = 0; i < BATCH; i++) {
        io[i] = (struct iovec){space[i], sizeof space[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &io[i], .msg_iovlen = 1};
    }
    uint64_t begin = 0, end = 0, count = 0, t = 0;
    do {
        int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0) die("receive");
        t = now();
        if (!begin) end = (begin = t + WARM_UP_NS) + duration();
        if (t >= begin) count += (uint64_t)n;
    } while (t < end);
    shared->rate[0] = (double)count * NS / (double)(t - begin);
}

static void serve_counting(int fd)
{
    char datagram[64];
    while (recv(fd, datagram, sizeof datagram, 0) >= 0) shared->arrived++;
}

static void server(int ready)
{
    enter(opt.server_netns);
    bool pinned = opt.flows == 1 && opt.mode != LOSS;
    if (pinned) pin(opt.mode == STREAM || opt.mode == UDP ? 1 : 0);
    int listener = listen_there();
    if (write(ready, "", 1) != 1) die("tell that the server is ready");
    if (opt.mode == STREAM) {
        for (int flow = 1; flow < opt.flows; flow++)
            if (!fork()) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve_stream(listener, flow);
                exit(0);
            }
        serve_stream(listener, 0);
        while (wait(NULL) > 0) continue;
    } else if (opt.mode == UDP) {
        serve_flood(listener);
    } else if (opt.mode == LOSS) {
        serve_counting(listener);
    } else {
        serve_echo(listener);
    }
    exit(0);
}

/* ---- client ---------------------------------------------------------------------------------------- */

static void client_stream(void)
{
    char *buffer = calloc(1, BLOCK);
    int fd = connect_patiently();
    for (uint64_t until = now() + duration() + 2 * WARM_UP_NS; now() < until;)
        if (write(fd, buffer, BLOCK) < 0) die("send");
    close(fd);
}

/* One exchange; for crr with a connection of its own. */
static void exchange(int fd)
{
    char byte = 'x';
    if (opt.mode == CRR) {
        fd = make_socket();
        if (connect(fd, (void *)&opt.server, opt.server_len)) die("cannot connect to the server");
    }
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("no answer");
    if (opt.mode == CRR) {
        if (read(fd, &byte, 1) != 0) die("the server did not close");
        close(fd);
    }
}

static void client_exchanges(void)
{
    int fd = connect_patiently();
    struct timeval patience = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (opt.mode == CRR) {
        close(fd);
        fd = -1;
    }
    uint64_t t = now(), begin = t + WARM_UP_NS;
    while ((t = now()) < begin) exchange(fd);
    uint64_t first = t, end = t + duration(), count = 0;
    while (t < end) {
        exchange(fd);
        uint64_t done = now();
        if (count < MAX_SAMPLES) shared->took[count] = (uint32_t)(done - t);
        count++;
        t = done;
    }
    shared->rate[0] = (double)count * NS / (double)(t - first);
    shared->samples = (uint32_t)(count < MAX_SAMPLES ? count : MAX_SAMPLES);
}

static void client_flood(void)
{
    char datagram[DATAGRAM] = {0};
    int fd = connect_patiently();
    for (uint64_t until = now() + duration() + 2 * WARM_UP_NS; now() < until;)
        for (int i = 0; i < 64; i++) {
            if (send(fd, datagram, sizeof datagram, 0) >= 0) continue;
            if (errno == ECONNREFUSED) return; /* the server has counted enough and is gone */
            if (errno != ENOBUFS && errno != EAGAIN) die("send");
        }
}

/* By the clock, not by pauses: what is late is sent at once, so that the number is known beforehand. */
static void client_numbers(void)
{
    char datagram[DATAGRAM] = {0};
    int fd = connect_patiently();
    uint64_t begin = now();
    for (uint64_t i = 0; i * (NS / 1000) < duration(); i++) {
        uint64_t due = begin + i * (NS / 1000);
        struct timespec at = {.tv_sec = (time_t)(due / NS), .tv_nsec = (long)(due % NS)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        (void)!send(fd, datagram, sizeof datagram, 0); /* one that cannot be sent is lost as well */
        shared->sent++;
    }
    usleep(200000); /* the last ones are under way */
}

static void client(void)
{
    enter(opt.client_netns);
    if (opt.flows == 1 && opt.mode != LOSS) pin(0);
    if (opt.mode == STREAM) client_stream();
    else if (opt.mode == UDP) client_flood();
    else if (opt.mode == LOSS) client_numbers();
    else client_exchanges();
    exit(0);
}

/* ---- parent ---------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(void)
{
    double value = 0;
    for (int flow = 0; flow < opt.flows; flow++) value += shared->rate[flow];
    if (opt.mode == LOSS) value = (double)(shared->sent - shared->arrived);
    if (opt.mode == LOSS ? !shared->arrived : !(value > 0)) {
        errno = 0;
        die("nothing arrived");
    }
    char suffix[8] = "";
    if (opt.flows > 1) snprintf(suffix, sizeof suffix, "%d", opt.flows);
    printf("{\"metric\":\"%s%s\",\"value\":%.6g,\"unit\":\"%s\",", modes[opt.mode].metric, suffix, value,
           modes[opt.mode].unit);
    uint32_t n = shared->samples;
    if (n) {
        qsort(shared->took, n, sizeof *shared->took, by_value);
        printf("\"p50us\":%.3f,\"p99us\":%.3f}\n", shared->took[n / 2] / 1e3,
               shared->took[(uint64_t)n * 99 / 100] / 1e3);
    } else {
        printf("\"p50us\":null,\"p99us\":null}\n");
    }
}

static void usage(void)
{
    fputs("usage: traffic stream|rr|urr|crr|udp|loss --server-address A [--server-netns PATH] [--client-netns PATH]\n"
          "               [--seconds 1] [--flows 1] [--port 5201] [--bind-address A] [--bind-port P]\n", stderr);
    exit(2);
}

static socklen_t read_address(const char *text, int port, struct sockaddr_storage *into)
{
    struct sockaddr_in *v4 = (void *)into;
    struct sockaddr_in6 *v6 = (void *)into;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) usage();
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

static void parse(int argc, char **argv)
{
    static const struct option longs[] = {
        {"server-netns", 1, 0, 's'}, {"client-netns", 1, 0, 'c'}, {"server-address", 1, 0, 'a'},
        {"seconds", 1, 0, 't'},      {"flows", 1, 0, 'f'},        {"port", 1, 0, 'p'},
        {"bind-address", 1, 0, 'A'}, {"bind-port", 1, 0, 'P'},    {0},
    };
    const char *address = NULL, *bind_address = NULL;
    int port = 5201, bind_port = 0;
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) switch (o) {
        case 's': opt.server_netns = optarg; break;
        case 'c': opt.client_netns = optarg; break;
        case 'a': address = optarg; break;
        case 't': opt.seconds = atof(optarg); break;
        case 'f': opt.flows = atoi(optarg); break;
        case 'p': port = atoi(optarg); break;
        case 'A': bind_address = optarg; break;
        case 'P': bind_port = atoi(optarg); break;
        default: usage();
        }
    size_t mode = 0, count = sizeof modes / sizeof *modes;
    while (mode < count && (optind >= argc || strcmp(argv[optind], modes[mode].name))) mode++;
    if (mode == count || !address || port < 1 || port > 65535) usage();
    opt.mode = (enum mode)mode;
    if (opt.flows < 1 || opt.flows > (opt.mode == STREAM ? MAX_FLOWS : 1)) usage();
    if (!(opt.seconds >= 0.05 && opt.seconds <= 60)) usage();
    opt.server_len = read_address(address, port, &opt.server);
    /* Behind a translation the server has another address than the one it is asked at. */
    if (!bind_address) bind_address = address;
    if (read_address(bind_address, bind_port ? bind_port : port, &opt.bind) != opt.server_len) usage();
}

static pid_t start(void (*work)(int), int argument)
{
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(argument);
    exit(0);
}

static void client_process(int unused)
{
    (void)unused;
    client();
}

static volatile sig_atomic_t late;
static void on_alarm(int signal)
{
    (void)signal;
    late = 1;
}

static bool await_exit(pid_t pid)
{
    int status = 1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR || late) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    /* Without SA_RESTART: the alarm must end a wait. */
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    alarm((unsigned)(opt.seconds + SLACK_SECONDS));
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ready[2];
    char byte;
    if (shared == MAP_FAILED || pipe(ready)) die("set up");
    pid_t children[MAX_FLOWS + 1];
    int count = 0;
    bool fine = true;
    children[count++] = start(server, ready[1]);
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) {
        fine = false;
    } else {
        for (int flow = 0; flow < opt.flows; flow++) children[count++] = start(client_process, 0);
        for (int i = 1; i < count && fine; i++) fine = await_exit(children[i]);
        /* Servers that measure end by themselves; echoing ones are ended here. */
        if (fine && (opt.mode == STREAM || opt.mode == UDP)) {
            fine = await_exit(children[0]);
            children[0] = 0;
        }
    }
    for (int i = 0; i < count; i++)
        if (children[i] > 0) kill(children[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
    if (!fine) {
        errno = 0;
        die(late ? "took too long" : "failed");
    }
    report();
    return 0;
}
