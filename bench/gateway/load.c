/* Asks a server as fast as it answers, or at a fixed rate, and prints one line of JSON.
 *
 *   load PORT PATH BODY_FILE CONNECTIONS SECONDS WARM_UP_SECONDS RATE REQUESTS [HEADER...]
 *
 * RATE 0 is a closed loop: each connection asks again at once. Any other is an open loop: RATE
 * requests a second, latency counted from when each should have left, so that a slow server cannot
 * hide its queue. REQUESTS 0 is no bound. A body that holds "stream":true is answered by server-sent
 * events; the @NANOSECONDS@ marks of upstream.c in them give time to first token and delay.
 * Times are microseconds. Whatever is not a whole answer with status 200 is counted in "failed".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, UNKNOWN = -1 };

typedef struct { double *us; size_t count, room; } sample;

typedef struct connection {
    int fd, busy, chunked, status, closes, marks;
    uint64_t asked_ns;
    char *bytes;
    size_t held, room, head_bytes, scanned;
    long body_bytes;
} connection;

static int epoll_fd, port, streamed;
static char *request;
static size_t request_bytes;
static uint64_t measure_from_ns, measure_until_ns;
static unsigned long answered, all, failed, marks_seen, all_marks;
static int first_bad_status;
static char first_bad_body[200];
static sample latency, first_token, delay;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note(sample *s, uint64_t ns) {
    if (s->count == s->room) s->us = realloc(s->us, sizeof *s->us * (s->room = s->room ? 2 * s->room : 4096));
    s->us[s->count++] = (double)ns / 1000.0;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_sample(const char *name, sample *s) {
    qsort(s->us, s->count, sizeof *s->us, by_size);
    double at[] = {0.5, 0.9, 0.99};
    const char *names[] = {"p50", "p90", "p99"};
    printf(",\"%s\":{", name);
    for (int i = 0; i < 3; i++)
        printf("%s\"%s\":%.1f", i ? "," : "", names[i], s->count ? s->us[(size_t)(at[i] * (double)(s->count - 1))] : 0.0);
    printf("}");
}

static int measured(uint64_t at) { return at >= measure_from_ns && at <= measure_until_ns; }

static void open_connection(connection *c) {
    int one = 1;
    if (c->fd >= 0) close(c->fd);
    c->busy = 0;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&there, sizeof there)) { close(c->fd); c->fd = -1; return; }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void give_up(connection *c) {
    failed++;
    open_connection(c);
}

static void ask(connection *c, uint64_t at_ns) {
    c->busy = 1;
    c->asked_ns = at_ns;
    c->held = c->head_bytes = c->scanned = 0;
    c->chunked = c->status = c->closes = c->marks = 0;
    c->body_bytes = UNKNOWN;
    for (size_t sent = 0; sent < request_bytes; ) {
        ssize_t k = send(c->fd, request + sent, request_bytes - sent, MSG_NOSIGNAL);
        if (k <= 0) { give_up(c); return; }
        sent += (size_t)k;
    }
}

static void finish(connection *c) {
    uint64_t at = now_ns();
    c->busy = 0;
    all++;
    if (c->status != 200 || (streamed && !c->marks)) {
        failed++;
        if (!first_bad_status) {
            first_bad_status = c->status;
            snprintf(first_bad_body, sizeof first_bad_body, "%.*s", (int)(c->held - c->head_bytes), c->bytes + c->head_bytes);
        }
    } else if (measured(at)) {
        answered++;
        note(&latency, at - c->asked_ns);
    }
    if (c->closes) open_connection(c);
}

static void read_head(connection *c) {
    char *end = memmem(c->bytes, c->held, "\r\n\r\n", 4);
    if (!end) return;
    c->head_bytes = c->scanned = (size_t)(end - c->bytes) + 4;
    c->status = atoi(c->bytes + 9);
    *end = 0;
    for (char *line = c->bytes; (line = strstr(line, "\r\n")); ) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) c->body_bytes = atol(line + 15);
        if (!strncasecmp(line, "transfer-encoding:", 18) && strcasestr(line, "chunked")) c->chunked = 1;
        if (!strncasecmp(line, "connection: close", 17)) c->closes = 1;
    }
    *end = '\r';
}

static void read_marks(connection *c) {
    uint64_t at = now_ns();
    char *open, *shut;
    while ((open = memchr(c->bytes + c->scanned, '@', c->held - c->scanned)) &&
           (shut = memchr(open + 1, '@', (size_t)(c->bytes + c->held - open - 1)))) {
        uint64_t sent_ns = strtoull(open + 1, NULL, 10);
        if (measured(at)) {
            marks_seen++;
            if (!c->marks) note(&first_token, at - c->asked_ns);
            if (sent_ns && sent_ns < at) note(&delay, at - sent_ns);
        }
        c->marks++;
        all_marks++;
        c->scanned = (size_t)(shut + 1 - c->bytes);
    }
}

static int is_whole(const connection *c) {
    if (c->chunked) return c->held >= c->head_bytes + 5 && !memcmp(c->bytes + c->held - 5, "0\r\n\r\n", 5);
    return c->body_bytes >= 0 && c->held >= c->head_bytes + (size_t)c->body_bytes;
}

static void hear(connection *c) {
    if (c->room - c->held < READ_BYTES) c->bytes = realloc(c->bytes, (c->room = 2 * c->room + 2 * READ_BYTES) + 1);
    ssize_t got = recv(c->fd, c->bytes + c->held, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (c->busy && c->status && !c->chunked && c->body_bytes == UNKNOWN) { c->closes = 1; finish(c); return; }
        if (c->busy) give_up(c); else open_connection(c);
        return;
    }
    if (!c->busy) { open_connection(c); return; }
    c->held += (size_t)got;
    c->bytes[c->held] = 0;
    if (!c->head_bytes) read_head(c);
    if (!c->head_bytes) return;
    if (streamed && c->status == 200) read_marks(c);
    if (is_whole(c)) finish(c);
}

static void read_request(char **args, int headers, char **header) {
    char *body = calloc(1, 1 << 20), head[8192];
    FILE *file = fopen(args[3], "r");
    if (!file) { perror(args[3]); exit(2); }
    size_t body_bytes = fread(body, 1, (1 << 20) - 1, file);
    fclose(file);
    streamed = strstr(body, "\"stream\": true") || strstr(body, "\"stream\":true");
    int length = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                          "Accept: */*\r\nContent-Length: %zu\r\n", args[2], port, body_bytes);
    for (int i = 0; i < headers; i++)
        length += snprintf(head + length, sizeof head - (size_t)length, "%s\r\n", header[i]);
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n");
    request_bytes = (size_t)length + body_bytes;
    request = malloc(request_bytes);
    memcpy(request, head, (size_t)length);
    memcpy(request + length, body, body_bytes);
    free(body);
}

static connection *idle(connection *all_of_them, int count, int *turn) {
    for (int k = 0; k < count; k++) {
        connection *c = &all_of_them[(*turn + k) % count];
        if (c->busy) continue;
        if (c->fd < 0) open_connection(c);
        if (c->fd < 0) continue;
        *turn = (*turn + k + 1) % count;
        return c;
    }
    return NULL;
}

int main(int count, char **args) {
    if (count < 9) { fputs("usage: see the head of load.c\n", stderr); return 2; }
    port = atoi(args[1]);
    int connections = atoi(args[4]), turn = 0;
    double seconds = atof(args[5]), warm_up = atof(args[6]), rate = atof(args[7]);
    unsigned long most = strtoul(args[8], NULL, 10), asked = 0;
    read_request(args, count - 9, args + 9);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(0);
    connection *pool = calloc((size_t)connections, sizeof *pool);
    for (int i = 0; i < connections; i++) { pool[i].fd = -1; open_connection(&pool[i]); }
    uint64_t started = now_ns();
    measure_from_ns = started + (uint64_t)(warm_up * 1e9);
    measure_until_ns = measure_from_ns + (uint64_t)(seconds * 1e9);
    uint64_t step_ns = rate > 0 ? (uint64_t)(1e9 / rate) : 0, next_ns = started;
    struct epoll_event events[512];
    while (now_ns() < measure_until_ns && !(most && all + failed >= most)) {
        connection *c;
        while (!(most && asked >= most) && (!step_ns || next_ns <= now_ns()) && (c = idle(pool, connections, &turn))) {
            ask(c, step_ns ? next_ns : now_ns());
            asked++;
            next_ns += step_ns;
        }
        uint64_t now = now_ns();
        uint64_t wait_ns = !step_ns ? 100000000u : next_ns > now ? next_ns - now : 1000000u;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u), .tv_nsec = (long)(wait_ns % 1000000000u)};
        int ready = epoll_pwait2(epoll_fd, events, 512, &wait, NULL);
        for (int i = 0; i < ready; i++) hear(events[i].data.ptr);
    }
    uint64_t until = now_ns() < measure_until_ns ? now_ns() : measure_until_ns;
    double took = until > measure_from_ns ? (double)(until - measure_from_ns) / 1e9 : 1e-9;
    printf("{\"per_s\":%.1f,\"answered\":%lu,\"all\":%lu,\"failed\":%lu,\"chunks_per_s\":%.0f,\"all_chunks\":%lu",
           (double)answered / took, answered, all, failed, (double)marks_seen / took, all_marks);
    print_sample("latency", &latency);
    print_sample("first_token", &first_token);
    print_sample("delay", &delay);
    if (first_bad_status) {
        printf(",\"bad_status\":%d,\"bad_body\":\"", first_bad_status);
        for (char *p = first_bad_body; *p; p++)
            if (*p == '"' || *p == '\\') putchar('\''); else if (*p >= 32) putchar(*p);
        printf("\"");
    }
    puts("}");
    return 0;
}
