/*
 * A call of a CNI runtime, answered without starting the executable, whose runtime takes 4 ms to begin: what came in
 * the environment and on standard input goes to the daemon's socket, and its answer is printed. For whatever is not
 * that simple (no daemon, a socket elsewhere, arguments) this process becomes the executable beside it, which finds
 * everything as it was and knows what to say.
 *
 * What both have in common comes from exchange.ts by the build (scripts/cni-client.ts): PATH, SOCKET, SUFFIX, FOUND,
 * STDIN_BYTES, VERSIONS and DEADLINES.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define AGAIN_MS 20

static const struct { const char *verb; int ms; } deadlines[] = {DEADLINES};
static const int other_deadline_ms = 5000;

static char input[STDIN_BYTES + 1], answer[4 * STDIN_BYTES];
static char variables[256 * 1024];
static size_t input_len, answer_len, variables_len;
static bool input_taken;
static volatile sig_atomic_t late;
static char **arguments;

static void on_alarm(int signal) {
    (void)signal;
    late = true;
}

/* Calls that wait end with EINTR at the deadline, and every while from then on: the first may come between two. */
static void set_deadline(int ms) {
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {
        .it_value = {ms / 1000, ms % 1000 * 1000},
        .it_interval = {0, ms == 0 ? 0 : AGAIN_MS * 1000},
    };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static bool try_again(ssize_t result) {
    return result < 0 && errno == EINTR && !late;
}

static int fail(int code, const char *message) {
    printf("{\"cniVersion\":\"1.0.0\",\"code\":%d,\"msg\":\"%s\"}\n", code, message);
    return 1;
}

static void give_back_input(void) {
    if (!input_taken) return;
    int fd = memfd_create("stdin", 0);
    for (size_t at = 0; at < input_len;) {
        ssize_t written = write(fd, input + at, input_len - at);
        if (written <= 0) return;
        at += written;
    }
    lseek(fd, 0, SEEK_SET);
    dup2(fd, 0);
    close(fd);
}

/* Our own path without SUFFIX is its. `found`: why nobody answers, when that need not be found out again. */
static int become_executable(const char *found) {
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    size_t suffix = strlen(SUFFIX);
    set_deadline(0);
    if (len > (ssize_t)suffix && memcmp(path + len - suffix, SUFFIX, suffix) == 0) {
        path[len - suffix] = '\0';
        if (found == NULL) unsetenv(FOUND);
        else setenv(FOUND, found, 1);
        give_back_input();
        execv(path, arguments);
    }
    return fail(5, "Cannot start carrick: its executable is not beside " SUFFIX);
}

static bool read_input(void) {
    while (input_len < sizeof input) {
        ssize_t got = read(0, input + input_len, sizeof input - input_len);
        if (try_again(got)) continue;
        if (got < 0) return false;
        input_taken = true;
        if (got == 0) return true;
        input_len += got;
    }
    return true;
}

static bool collect_variables(void) {
    for (char **one = environ; *one != NULL; one++) {
        if (strncmp(*one, "CNI_", 4) != 0) continue;
        size_t len = strlen(*one) + 1;
        if (variables_len + len >= sizeof variables) return false;
        memcpy(variables + variables_len, *one, len);
        variables_len += len;
    }
    variables[variables_len++] = '\0';
    return true;
}

static bool send_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (try_again(sent)) continue;
        if (sent < 0) return false;
        bytes += sent;
        len -= sent;
    }
    return true;
}

static bool send_request(int fd) {
    char head[256];
    int len = snprintf(head, sizeof head,
                       "POST " PATH " HTTP/1.1\r\nhost: carrick\r\nconnection: close\r\n"
                       "content-type: application/octet-stream\r\ncontent-length: %zu\r\n\r\n",
                       variables_len + input_len);
    return send_all(fd, head, len) && send_all(fd, variables, variables_len) &&
           send_all(fd, input, input_len);
}

static bool read_answer(int fd) {
    while (answer_len < sizeof answer) {
        ssize_t got = recv(fd, answer + answer_len, sizeof answer - answer_len, 0);
        if (try_again(got)) continue;
        if (got <= 0) return got == 0;
        answer_len += got;
    }
    return false;
}

/* Connected, or -1. */
static int open_stream(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result;
    do result = connect(fd, (struct sockaddr *)&address, sizeof address);
    while (try_again(result));
    return result == 0 ? fd : -1;
}

static bool write_all(int fd, const char *text) {
    for (size_t len = strlen(text); len > 0;) {
        ssize_t written = write(fd, text, len);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        text += written;
        len -= written;
    }
    return true;
}

/* The body is three texts, each ended by a zero: exit code, standard output, standard error. */
static int print_answer(char *body, size_t len) {
    char *end = body + len, *out = memchr(body, '\0', len);
    char *err = out == NULL ? NULL : memchr(out + 1, '\0', end - out - 1);
    if (err == NULL || memchr(err + 1, '\0', end - err - 1) != end - 1) return become_executable("broken");
    bool written = write_all(2, err + 1) && write_all(1, out + 1);
    int code = atoi(body);
    return written || code != 0 ? code : 1;
}

int main(int argc, char **argv) {
    const char *verb = getenv("CNI_COMMAND");
    arguments = argv;
    if (argc > 1 || verb == NULL || *verb == '\0') return become_executable(NULL);
    if (strcmp(verb, "VERSION") == 0) return puts(VERSIONS) < 0;

    int ms = other_deadline_ms;
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        if (strcmp(verb, deadlines[i].verb) == 0) ms = deadlines[i].ms;
    }
    set_deadline(ms);
    if (!read_input()) {
        return late ? fail(5, "Cannot read the network configuration on standard input: it did not end in time")
                    : become_executable(NULL);
    }
    bool simple = input_len <= STDIN_BYTES && memmem(input, input_len, "\"daemonSocket\"", 14) == NULL;
    if (!simple || !collect_variables()) return become_executable(NULL);
    int fd = open_stream();
    if (fd < 0) return become_executable(late ? "late" : NULL);
    if (!send_request(fd) || !read_answer(fd)) return become_executable(late ? "late" : "broken");
    char *body = memmem(answer, answer_len, "\r\n\r\n", 4);
    if (body == NULL) return become_executable("broken");
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) return become_executable(NULL);
    return print_answer(body + 4, answer + answer_len - body - 4);
}
