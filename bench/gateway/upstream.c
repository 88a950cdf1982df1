/* A provider that costs next to nothing: an epoll server that answers any POST in OpenAI's chat
 * dialect, whole or streamed (when the body says "stream":true), and any GET with a model list.
 *
 *   upstream PORT [first_byte_us [chunks [gap_us]]]
 *
 * Each streamed delta carries @NANOSECONDS@ of CLOCK_MONOTONIC, by which load.c on the same machine
 * sees how long it was under way. Whole answers are 1,000 characters of text in 1.2 KB of JSON.
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
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, MOST_BYTES = 1 << 24, MOST_CLIENTS = 4096 };

typedef struct client {
    int fd;
    int streaming;      /* the answer under way is streamed */
    long left;          /* deltas still to be sent; -1: none under way */
    uint64_t due_ns;    /* when the next piece leaves; 0: nothing is due */
    char *bytes;
    size_t held, room;
} client;

static client *clients[MOST_CLIENTS];
static int epoll_fd, timer_fd, client_count;
static long first_byte_us, chunks = 64, gap_us;
static char *whole;
static size_t whole_bytes;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int say(client *c, const char *text, size_t length) {
    while (length) {
        ssize_t sent = send(c->fd, text, length, MSG_NOSIGNAL);
        if (sent > 0) { text += sent; length -= (size_t)sent; }
        else if (sent < 0 && errno == EAGAIN) usleep(50);
        else return -1;
    }
    return 0;
}

static int say_chunk(client *c, const char *event) {
    char framed[1024];
    int length = snprintf(framed, sizeof framed, "%zx\r\n%s\r\n", strlen(event), event);
    return say(c, framed, (size_t)length);
}

#define HEAD "data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"mock\","

static int say_delta(client *c) {
    char event[512];
    snprintf(event, sizeof event,
             HEAD "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\" tok@%llu@\"},\"finish_reason\":null}]}\n\n",
             c->left == chunks ? "\"role\":\"assistant\"," : "", (unsigned long long)now_ns());
    return say_chunk(c, event);
}

static int say_end(client *c) {
    char event[512];
    snprintf(event, sizeof event,
             HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                  "\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n",
             chunks, chunks + 50);
    return say_chunk(c, event) || say_chunk(c, "data: [DONE]\n\n") || say(c, "0\r\n\r\n", 5);
}

static void drop(client *c) {
    close(c->fd);
    for (int i = 0; i < client_count; i++)
        if (clients[i] == c) { clients[i] = clients[--client_count]; break; }
    free(c->bytes);
    free(c);
}

/* Send what is due. Returns 0, or -1 when the client is gone. */
static int answer(client *c) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    c->due_ns = 0;
    if (!c->streaming) {
        c->left = -1;
        return say(c, whole, whole_bytes);
    }
    if (c->left == chunks && say(c, head, sizeof head - 1)) return -1;
    do {
        if (c->left == 0) { c->left = -1; return say_end(c); }
        if (say_delta(c)) return -1;
        c->left--;
    } while (!gap_us);
    c->due_ns = now_ns() + (uint64_t)gap_us * 1000;
    return 0;
}

static int has_stream_flag(const char *body, size_t length) {
    return memmem(body, length, "\"stream\":true", 13) || memmem(body, length, "\"stream\": true", 14);
}

/* Take requests out of what was read, until one has to wait for its time. */
static int listen_to(client *c) {
    static const char models[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 61\r\n\r\n"
                                 "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\"}]}    ";
    while (c->left < 0) {
        c->bytes[c->held] = 0;
        char *end = memmem(c->bytes, c->held, "\r\n\r\n", 4);
        if (!end) return 0;
        size_t head_bytes = (size_t)(end - c->bytes) + 4, body_bytes = 0;
        *end = 0;
        for (char *line = c->bytes; (line = strstr(line, "\r\n")); ) {
            line += 2;
            if (!strncasecmp(line, "content-length:", 15)) body_bytes = strtoul(line + 15, NULL, 10);
        }
        *end = '\r';
        if (c->held < head_bytes + body_bytes) return 0;
        int is_post = !strncmp(c->bytes, "POST", 4);
        int streamed = is_post && has_stream_flag(c->bytes + head_bytes, body_bytes);
        c->held -= head_bytes + body_bytes;
        memmove(c->bytes, c->bytes + head_bytes + body_bytes, c->held);
        if (!is_post) {
            if (say(c, models, sizeof models - 1)) return -1;
            continue;
        }
        c->streaming = streamed;
        c->left = chunks;
        if (first_byte_us) { c->due_ns = now_ns() + (uint64_t)first_byte_us * 1000; return 0; }
        if (answer(c)) return -1;
        if (c->due_ns) return 0;
    }
    return 0;
}

static void set_timer(void) {
    uint64_t next = 0;
    for (int i = 0; i < client_count; i++)
        if (clients[i]->due_ns && (!next || clients[i]->due_ns < next)) next = clients[i]->due_ns;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void welcome(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (client_count == MOST_CLIENTS) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->left = -1;
        c->room = READ_BYTES;
        c->bytes = malloc(c->room + 1);
        clients[client_count++] = c;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static void hear(client *c) {
    if (c->room - c->held < READ_BYTES) {
        if (c->room >= MOST_BYTES) { drop(c); return; }
        c->bytes = realloc(c->bytes, (c->room *= 2) + 1);
    }
    ssize_t got = recv(c->fd, c->bytes + c->held, READ_BYTES, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { drop(c); return; }
    c->held += (size_t)got;
    if (listen_to(c)) drop(c);
}

static void prepare_whole_answer(void) {
    static const char words[] = "the quick brown fox jumps over the lazy dog ";
    char text[1001], body[2048];
    for (int i = 0; i < 1000; i++) text[i] = words[i % (sizeof words - 1)];
    text[1000] = 0;
    int length = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"mock\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":200,\"total_tokens\":250}}", text);
    whole = malloc(4096);
    whole_bytes = (size_t)snprintf(whole, 4096,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
}

int main(int count, char **args) {
    if (count < 2) { fputs("usage: upstream PORT [first_byte_us [chunks [gap_us]]]\n", stderr); return 2; }
    if (count > 2) first_byte_us = atol(args[2]);
    if (count > 3) chunks = atol(args[3]);
    if (count > 4) gap_us = atol(args[4]);
    signal(SIGPIPE, SIG_IGN);
    prepare_whole_answer();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(args[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024)) { perror("listen"); return 1; }
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &timer_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            void *who = events[i].data.ptr;
            uint64_t expirations;
            if (who == &listener) welcome(listener);
            else if (who == &timer_fd) (void)!read(timer_fd, &expirations, sizeof expirations);
            else hear(who);
        }
        uint64_t now = now_ns();
        for (int i = client_count - 1; i >= 0; i--) {
            client *c = clients[i];
            if (c->due_ns && c->due_ns <= now && (answer(c) || (!c->due_ns && listen_to(c)))) drop(c);
        }
        set_timer();
    }
}
