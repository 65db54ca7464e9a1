/* An iSCSI load generator, written from RFC 7143 for what iscsi-perf and qemu-img bench cannot do: header and data
 * digests, mixes of reads and writes, many sessions and LUNs from one process, and writes that are verified.
 *
 *     load [options] iscsi://HOST:PORT/TARGET/LUN[-LASTLUN] ...
 *
 * One thread. Sessions take the URLs in turn; a session uses the LUNs of its URL in turn. It shares the machine with
 * the target, so it sends and receives in batches and touches payload only for digests and where it verifies.
 *
 * --verify: what is written is worked out from the seed, the unit and the LBA. One in sixteen reads of blocks already
 * written is compared, and at the end up to --samples of the places written are read back and compared.
 * Prints one line of JSON; ends with 1 if a command failed or data was wrong, with 2 if it could not go on. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"
#include "iscsi.h"
#include "session.h"
#include "receiving.h"
#include "login.h"

/* Until no command is under way, and in RUN not before ``end``. */
static void go(uint64_t end)
{
    now = clock_now();
    int set = epoll_create1(0);
    bool *watched = zeroed(option.sessions, sizeof *watched);
    for (unsigned i = 0; i < option.sessions; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(set, EPOLL_CTL_ADD, sessions[i].fd, &event))
            fail("epoll: %s", strerror(errno));
        issue(&sessions[i]);
    }
    for (;;) {
        unsigned outstanding = 0;
        for (unsigned i = 0; i < option.sessions; i++) {
            struct session *s = &sessions[i];
            bool waits = s->head != s->end;
            outstanding += s->outstanding + waits;
            if (waits == watched[i])
                continue;
            struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.u32 = i};
            epoll_ctl(set, EPOLL_CTL_MOD, s->fd, &event);
            watched[i] = waits;
        }
        if (phase == RUN && (now >= end || (option.count && ops + errors >= option.count)))
            return close(set), free(watched);
        if (phase != RUN && !outstanding)
            return close(set), free(watched);
        if (option.sessions == 1 && sessions->outstanding && !watched[0]) {
            serve(sessions, 0);
            continue;
        }
        struct epoll_event events[64];
        uint64_t patience = (uint64_t)PATIENCE * 1000;
        if (phase == RUN && !option.count && (end - now) / 1000000 + 1 < patience)
            patience = (end - now) / 1000000 + 1;
        int count = epoll_wait(set, events, 64, (int)patience);
        now = clock_now();
        if (count == 0 && outstanding && (phase != RUN || now < end))
            fail("no answer within %d seconds", PATIENCE);
        for (int i = 0; i < count; i++) {
            struct session *s = &sessions[events[i].data.u32];
            if (events[i].events & EPOLLOUT)
                flush(s);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                serve(s, MSG_DONTWAIT);
        }
    }
}

/* At most option.samples of the places that were written, evenly. */
static void collect_samples(void)
{
    samples = zeroed(option.samples, sizeof *samples);
    uint64_t total = 0, seen = 0;
    for (int counting = 1; counting >= 0; counting--)
        for (unsigned u = 0; u < url_count; u++)
            for (struct unit *unit = urls[u].units; unit < urls[u].units + urls[u].count; unit++)
                for (uint64_t place = 0; place < unit->places; place++) {
                    if (!unit->written[place])
                        continue;
                    total += (uint64_t)counting;
                    if (counting || sample_count * total > seen++ * option.samples || sample_count == option.samples)
                        continue;
                    samples[sample_count].url = &urls[u];
                    samples[sample_count].unit = unit;
                    samples[sample_count++].place = place;
                }
}

static double percentile(double share)
{
    uint64_t wanted = (uint64_t)(share * (double)ops), seen = 0;
    for (unsigned i = 0; i < sizeof latency / sizeof *latency; i++)
        if ((seen += latency[i]) > wanted)
            return (i < 64 ? i : (double)(64 + i % 64) * (double)(1ull << (i / 64 - 1))) / 1000;
    return 0;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 0);
    static const char units[] = "KMG";
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit)
        value <<= 10 * (unit - units + 1), end++;
    if (*end || end == text)
        fail("%s is not a number", text);
    return value;
}

static void read_options(int argc, char **argv)
{
    static const char usage[] =
        "usage: load [--sessions N] [--depth N] [--size BYTES] [--read PERCENT] [--sequential] [--seconds N]\n"
        "            [--count OPERATIONS] [--digests] [--verify] [--samples N] [--seed N] [--initiator NAME] URL...\n";
    static const struct option names[] = {
        {"sessions", 1, 0, 's'}, {"depth", 1, 0, 'd'}, {"size", 1, 0, 'b'}, {"read", 1, 0, 'r'}, {"sequential", 0, 0, 'q'},
        {"seconds", 1, 0, 't'}, {"count", 1, 0, 'c'}, {"digests", 0, 0, 'D'}, {"verify", 0, 0, 'v'},
        {"samples", 1, 0, 'S'}, {"seed", 1, 0, 'e'}, {"initiator", 1, 0, 'i'}, {0, 0, 0, 0},
    };
    if (getrandom(&option.seed, sizeof option.seed, 0) < 0)
        option.seed = clock_now();
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;)
        switch (letter) {
        case 's': option.sessions = (unsigned)number(optarg); break;
        case 'd': option.depth = (unsigned)number(optarg); break;
        case 'b': option.size = (unsigned)number(optarg); break;
        case 'r': option.read_percent = (unsigned)number(optarg); break;
        case 'q': option.sequential = true; break;
        case 't': option.seconds = atof(optarg); break;
        case 'c': option.count = number(optarg); break;
        case 'D': option.digests = true; break;
        case 'v': option.verify = true; break;
        case 'S': option.samples = (unsigned)number(optarg); break;
        case 'e': option.seed = number(optarg); break;
        case 'i': option.initiator = optarg; break;
        default: fputs(usage, stderr); exit(2);
        }
    url_count = (unsigned)(argc - optind);
    if (!url_count || !option.sessions || !option.size || option.size % 512) {
        fputs(usage, stderr);
        exit(2);
    }
    urls = zeroed(url_count, sizeof *urls);
    for (unsigned i = 0; i < url_count; i++)
        read_url(argv[optind + (int)i], &urls[i]);
}

int main(int argc, char **argv)
{
    crc32c_prepare();
    read_options(argc, argv);
    noise = zeroed(1, option.size);
    if (getrandom(noise, option.size, 0) < 0)
        fail("no random numbers");
    sessions = zeroed(option.sessions, sizeof *sessions);
    for (unsigned i = 0; i < option.sessions; i++)
        open_session(&sessions[i], &urls[i % url_count], i);
    if (!option.depth) { /* somebody measures idle sessions, and waits for this */
        puts("ready");
        fflush(stdout);
    }
    uint64_t start = clock_now();
    go(start + (uint64_t)(option.seconds * 1e9));
    double seconds = (double)(clock_now() - start) / 1e9;
    phase = DRAIN;
    go(0);
    if (option.verify && option.read_percent < 100) {
        collect_samples();
        phase = READ_BACK;
        for (unsigned i = 0; i < option.sessions; i++)
            sessions[i].cursor = 0;
        go(0);
    }
    log_out_all();
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    printf("{\"ops\": %llu, \"reads\": %llu, \"seconds\": %.4f, \"iops\": %.1f, \"bytes\": %llu, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"errors\": %llu, \"attentions\": %llu, \"verified\": %llu, \"miscompares\": %llu, "
           "\"digests\": %s, \"segment\": %u, \"first_burst\": %u, \"max_burst\": %u, \"own_cpu\": %.3f}\n",
           (unsigned long long)ops, (unsigned long long)reads, seconds, (double)ops / seconds,
           (unsigned long long)ops * option.size, percentile(0.5), percentile(0.99), (unsigned long long)errors,
           (unsigned long long)attentions, (unsigned long long)verified, (unsigned long long)miscompares,
           sessions->digests ? "true" : "false", sessions->segment, sessions->first_burst, sessions->max_burst,
           (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec)
               + (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6);
    return errors || miscompares ? 1 : 0;
}
