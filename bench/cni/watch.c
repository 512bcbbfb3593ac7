/*
 * Starts a program as a runtime does: three pipes, standard input written and closed, its output read to the end,
 * then waited for. Prints what each time took, in one line of JSON:
 *   {"wallMs":[5.1,...],"cpuMs":[4.9,...],"maxRssKib":31000,"failed":0}
 *
 *   watch COUNT FILE PROGRAM     FILE is its standard input; it gets this process's environment
 *
 * A process that asks for its child's memory is told its own as well, if that was more when the child began: this
 * one is small.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_INPUT (64 * 1024) /* what a pipe takes at once: pipe(7) */

static char input[MAX_INPUT];
static size_t input_len;
static char *program;
static double *wall_ms, *cpu_ms;
static long max_rss_kib;
static int failed;

static void must(bool holds, const char *attempt) {
    if (holds) return;
    perror(attempt);
    exit(1);
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static double ms(struct timeval time) {
    return time.tv_sec * 1e3 + time.tv_usec / 1e3;
}

static pid_t start(int ours[3]) {
    int in[2], out[2], err[2];
    must(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0, "pipe2");
    pid_t pid = vfork();
    must(pid >= 0, "vfork");
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        signal(SIGPIPE, SIG_DFL);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    ours[0] = in[1];
    ours[1] = out[0];
    ours[2] = err[0];
    return pid;
}

static void drain(int fd) {
    static char sink[65536];
    while (read(fd, sink, sizeof sink) > 0) continue;
    close(fd);
}

static void watch(int turn) {
    int ours[3];
    double began = now_ms();
    pid_t pid = start(ours);
    ssize_t written = write(ours[0], input, input_len);
    (void)written; /* it may have ended by then: VERSION needs no input */
    close(ours[0]);
    drain(ours[1]);
    drain(ours[2]);
    int status;
    struct rusage used;
    must(wait4(pid, &status, 0, &used) == pid, "wait4");
    wall_ms[turn] = now_ms() - began;
    cpu_ms[turn] = ms(used.ru_utime) + ms(used.ru_stime);
    if (used.ru_maxrss > max_rss_kib) max_rss_kib = used.ru_maxrss;
    if (status != 0) failed++;
}

static void print_list(const char *name, const double *values, int count) {
    printf("\"%s\":[", name);
    for (int i = 0; i < count; i++) printf(i == 0 ? "%.3f" : ",%.3f", values[i]);
    printf("],");
}

int main(int argc, char **argv) {
    int count = argc == 4 ? atoi(argv[1]) : 0;
    if (count < 1) {
        fputs("usage: watch COUNT FILE PROGRAM\n", stderr);
        return 2;
    }
    program = argv[3];
    FILE *file = fopen(argv[2], "r");
    must(file != NULL, argv[2]);
    input_len = fread(input, 1, sizeof input, file);
    fclose(file);
    wall_ms = calloc(count, sizeof *wall_ms);
    cpu_ms = calloc(count, sizeof *cpu_ms);
    must(wall_ms != NULL && cpu_ms != NULL, "calloc");
    signal(SIGPIPE, SIG_IGN);
    for (int turn = 0; turn < count; turn++) watch(turn);
    putchar('{');
    print_list("wallMs", wall_ms, count);
    print_list("cpuMs", cpu_ms, count);
    printf("\"maxRssKib\":%ld,\"failed\":%d}\n", max_rss_kib, failed);
    return 0;
}
