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
#include <poll.h>
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

enum { PATIENCE = 30, SEGMENT = 262144, RECEIVE = 524288, MOST_IOVS = 256 };

static struct {
    unsigned sessions, depth, size, read_percent, samples, seconds;
    bool sequential, digests, verify;
    uint64_t count, seed;
    const char *initiator;
} option = {1, 32, 4096, 100, 2000, 5, false, false, false, 0, 0, "iqn.2026-11.test.bench:load"};

struct unit { /* a logical unit */
    unsigned lun, block_size;
    uint64_t places, key; /* a place: option.size bytes at a multiple of it */
    uint8_t *written;     /* by place, where writes are verified */
};

struct url {
    char *host, *port, *target;
    struct unit *units;
    unsigned count, sessions;
};

struct task {
    struct unit *unit;
    uint64_t place, began;
    uint32_t number, received, sent; /* sent: DataSN of the next Data-Out of this sequence */
    bool busy, writes, compared, counted;
    uint8_t *buffer;
};

struct pdu { /* on its way out */
    uint8_t header[BHS + 4], digest[4];
    const uint8_t *data;
    uint32_t length;
};

struct session {
    int fd;
    struct url *url;
    unsigned rank, unit; /* which of the sessions of its URL this is; the unit whose turn it is */
    uint32_t cmd_sn, max_cmd_sn, exp_stat_sn;
    uint32_t segment, first_burst, max_burst;
    bool immediate, initial_r2t, digests;
    uint8_t header[BHS + 4], tail[4], small[64]; /* the PDU that comes; small: its data where no task wants it */
    uint32_t have, payload, at, padding, sum, tail_have, tail_size;
    struct task *task;
    struct pdu *ring; /* what is to be sent, from head to tail */
    uint32_t head, end, mask;
    size_t sent; /* bytes of the first */
    struct task *tasks, **free;
    unsigned idle, outstanding;
    uint64_t cursor, random;
    bool ready; /* something may be received */
};

static struct session *sessions;
static struct url *urls;
static unsigned url_count;
static uint8_t incoming[RECEIVE], *noise;
static enum { RUN, DRAIN, READ_BACK } phase;
static uint64_t now, issued, ops, reads, errors, attentions, miscompares, verified;
static uint64_t latency[64 * 64]; /* counts, by 64 steps of each power of two of nanoseconds */
static struct { struct url *url; struct unit *unit; uint64_t place; } *samples;
static uint64_t sample_count;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(2);
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        fail("no memory");
    return memory;
}

static uint64_t clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t mixed(uint64_t value)
{
    value = (value ^ value >> 31) * 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 29) * 0xbf58476d1ce4e5b9u;
    return value ^ value >> 32;
}

static uint64_t next_random(struct session *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    return s->random ^= s->random << 17;
}

/* A digest goes out with the coefficient of x^31 first, in the order of its bytes: least significant first. */
static void put_digest(uint8_t *at, uint32_t sum) { sum = htole32(~sum); memcpy(at, &sum, 4); }
static bool digest_is(const uint8_t *at, uint32_t sum) { uint8_t right[4]; put_digest(right, sum); return !memcmp(at, right, 4); }

static void put_lun(uint8_t *at, unsigned lun) /* SAM-5 section 4.7.7: peripheral, or flat space addressing */
{
    memset(at, 0, 8);
    at[0] = lun < 256 ? 0 : 0x40 | lun >> 8;
    at[1] = lun;
}

/* ---- the pattern of verified writes: each 512 bytes by seed, unit and place, so nothing looks like its neighbour */

static void fill(const struct task *task, uint64_t *words)
{
    for (uint32_t part = 0; part < option.size / 512; part++, words += 64) {
        uint64_t first = mixed(task->unit->key ^ mixed(task->place * (option.size / 512) + part));
        for (int i = 0; i < 64; i++)
            words[i] = first + (uint64_t)i * 0x9e3779b97f4a7c15u;
    }
}

static void compare(const struct task *task)
{
    static uint64_t *right;
    if (!right)
        right = zeroed(1, option.size);
    fill(task, right);
    verified++;
    if (memcmp(right, task->buffer, option.size) && miscompares++ < 10)
        fprintf(stderr, "load: LUN %u, %u bytes at byte %llu are not what was written\n", task->unit->lun, option.size,
                (unsigned long long)(task->place * option.size));
}

/* ---- sending */

static struct pdu *queue(struct session *s, uint8_t opcode, uint8_t flags, const void *data, uint32_t length)
{
    if (s->end - s->head > s->mask)
        fail("more PDUs to send than there can be");
    struct pdu *pdu = &s->ring[s->end++ & s->mask];
    memset(pdu->header, 0, BHS);
    pdu->header[0] = opcode;
    pdu->header[1] = flags;
    put24(pdu->header + 5, length);
    pdu->data = data;
    pdu->length = length;
    return pdu;
}

static void seal(struct session *s, struct pdu *pdu) /* the header is complete */
{
    if (!s->digests)
        return;
    put_digest(pdu->header + BHS, crc32c(CRC32C_SEED, pdu->header, BHS));
    if (pdu->length)
        put_digest(pdu->digest, crc32c(CRC32C_SEED, pdu->data, pdu->length));
}

static void put_command_numbers(struct session *s, struct pdu *pdu)
{
    put32(pdu->header + 24, s->cmd_sn);
    put32(pdu->header + 28, s->exp_stat_sn);
}

static void flush(struct session *s)
{
    while (s->head != s->end) {
        struct iovec parts[MOST_IOVS];
        size_t count = 0, skip = s->sent;
        for (uint32_t i = s->head; i != s->end && count + 3 <= MOST_IOVS; i++) {
            struct pdu *pdu = &s->ring[i & s->mask];
            struct iovec pieces[3] = {{pdu->header, s->digests ? BHS + 4 : BHS}, {(void *)pdu->data, pdu->length},
                                      {pdu->digest, s->digests && pdu->length ? 4 : 0}};
            for (int j = 0; j < 3; j++) {
                size_t less = skip < pieces[j].iov_len ? skip : pieces[j].iov_len;
                skip -= less;
                if (pieces[j].iov_len > less)
                    parts[count++] = (struct iovec){(char *)pieces[j].iov_base + less, pieces[j].iov_len - less};
            }
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            fail("sending: %s", strerror(errno));
        }
        for (s->sent += (size_t)sent; s->head != s->end; s->head++) {
            struct pdu *pdu = &s->ring[s->head & s->mask];
            size_t whole = (s->digests ? BHS + 4 : BHS) + pdu->length + (s->digests && pdu->length ? 4 : 0);
            if (s->sent < whole)
                break;
            s->sent -= whole;
        }
    }
}

/* Data-Out PDUs for one burst (section 11.7); the data of a task is the same noise for all unless it is verified. */
static void send_data(struct session *s, struct task *task, uint32_t transfer_tag, uint32_t offset, uint32_t length)
{
    for (task->sent = 0; length; task->sent++) {
        uint32_t part = length < s->segment ? length : s->segment;
        struct pdu *pdu = queue(s, DATA_OUT, part == length ? FINAL : 0, task->buffer + offset, part);
        put_lun(pdu->header + 8, task->unit->lun);
        put32(pdu->header + 16, (uint32_t)(task - s->tasks));
        put32(pdu->header + 20, transfer_tag);
        put32(pdu->header + 28, s->exp_stat_sn);
        put32(pdu->header + 36, task->sent);
        put32(pdu->header + 40, offset);
        seal(s, pdu);
        offset += part;
        length -= part;
    }
}

static void send_command(struct session *s, struct task *task)
{
    uint32_t immediate = 0, unsolicited = 0;
    if (task->writes) {
        uint32_t most = s->first_burst < option.size ? s->first_burst : option.size;
        if (s->immediate)
            immediate = most < s->segment ? most : s->segment;
        unsolicited = s->initial_r2t ? 0 : most - immediate;
    }
    uint8_t flags = (task->writes ? WRITE_BIT : READ_BIT) | SIMPLE | (unsolicited ? 0 : FINAL);
    struct pdu *pdu = queue(s, SCSI_COMMAND, flags, task->buffer, immediate);
    uint8_t *header = pdu->header, *cdb = header + 32;
    uint64_t lba = task->place * (option.size / task->unit->block_size);
    uint32_t blocks = option.size / task->unit->block_size;
    put_lun(header + 8, task->unit->lun);
    put32(header + 16, (uint32_t)(task - s->tasks));
    put32(header + 20, option.size);
    put_command_numbers(s, pdu);
    if (lba >> 32 || blocks >> 16) { /* READ(16), WRITE(16) */
        cdb[0] = task->writes ? 0x8a : 0x88;
        put64(cdb + 2, lba);
        put32(cdb + 10, blocks);
    } else { /* READ(10), WRITE(10) */
        cdb[0] = task->writes ? 0x2a : 0x28;
        put32(cdb + 2, (uint32_t)lba);
        cdb[7] = blocks >> 8;
        cdb[8] = blocks;
    }
    seal(s, pdu);
    s->cmd_sn++;
    task->received = 0;
    send_data(s, task, NO_TAG, immediate, unsolicited);
}

/* The next operation of this session; false: there is none. */
static bool choose(struct session *s, struct task *task)
{
    task->compared = false;
    task->counted = phase == RUN;
    if (phase == READ_BACK) {
        while (s->cursor < sample_count
               && (samples[s->cursor].url != s->url || s->cursor % s->url->sessions != s->rank))
            s->cursor++;
        if (s->cursor >= sample_count)
            return false;
        task->unit = samples[s->cursor].unit;
        task->place = samples[s->cursor++].place;
        task->writes = false;
        return task->compared = true;
    }
    if (phase != RUN || (option.count && issued >= option.count))
        return false;
    issued++;
    task->unit = &s->url->units[s->unit];
    s->unit = s->unit + 1 < s->url->count ? s->unit + 1 : 0;
    uint64_t random = next_random(s);
    task->place = (option.sequential ? s->cursor++ : random >> 8) % task->unit->places;
    task->writes = option.read_percent < 100 && (uint32_t)(random * 0x2545f491u >> 32) % 100 >= option.read_percent;
    if (option.verify && task->writes)
        fill(task, (uint64_t *)task->buffer);
    else if (option.verify)
        task->compared = task->unit->written[task->place] && (random & 15) == 0;
    return true;
}

static void issue(struct session *s)
{
    while (s->idle && (int32_t)(s->max_cmd_sn - s->cmd_sn) >= 0 && choose(s, s->free[s->idle - 1])) {
        struct task *task = s->free[--s->idle];
        s->outstanding++;
        task->busy = true;
        task->began = now;
        send_command(s, task);
    }
    flush(s);
}

/* ---- receiving */

static void ended(struct session *s, struct task *task, uint8_t status, bool responded)
{
    /* Sense data of fixed format behind its length (section 11.4.7); UNIT ATTENTION: told, go on. */
    if (status == CHECK_CONDITION && s->at >= 5 && (s->small[4] & 0x0f) == 6) {
        attentions++;
        send_command(s, task);
        return;
    }
    if (status != GOOD || (!task->writes && task->received != option.size)) {
        if (errors++ < 10)
            fprintf(stderr, "load: %s of LUN %u at place %llu: status %02x, %u bytes came%s\n",
                    task->writes ? "write" : "read", task->unit->lun, (unsigned long long)task->place, status,
                    task->received, responded ? "" : ", no response");
    } else {
        if (task->compared)
            compare(task);
        else if (option.verify && task->writes)
            task->unit->written[task->place] = 1;
        if (task->counted && phase == RUN) {
            uint64_t took = now - task->began;
            unsigned power = took < 64 ? 0 : 63 - 5 - (unsigned)__builtin_clzll(took);
            latency[power * 64 + (power ? took >> (power - 1) & 63 : took)]++;
            ops++;
            reads += !task->writes;
        }
    }
    s->outstanding--;
    task->busy = false;
    s->free[s->idle++] = task;
}

static struct task *task_of(struct session *s)
{
    uint32_t tag = get32(s->header + 16);
    if (tag >= option.depth || !s->tasks[tag].busy)
        fail("a PDU with opcode %02x has an unknown task tag %08x", s->header[0] & 0x3f, tag);
    return &s->tasks[tag];
}

static void answer_nop(struct session *s) /* section 11.18 */
{
    if (get32(s->header + 20) == NO_TAG)
        return;
    struct pdu *pdu = queue(s, NOP_OUT | IMMEDIATE, FINAL, NULL, 0);
    memcpy(pdu->header + 8, s->header + 8, 8);
    put32(pdu->header + 16, NO_TAG);
    memcpy(pdu->header + 20, s->header + 20, 4);
    put_command_numbers(s, pdu);
    seal(s, pdu);
}

static void note_numbers(struct session *s, const uint8_t *header)
{
    uint8_t opcode = header[0] & 0x3f;
    uint32_t max_cmd_sn = get32(header + 32);
    if ((int32_t)(max_cmd_sn - s->max_cmd_sn) > 0)
        s->max_cmd_sn = max_cmd_sn;
    bool numbered = opcode == DATA_IN ? header[1] & HAS_STATUS : opcode != R2T && get32(header + 16) != NO_TAG;
    if (numbered)
        s->exp_stat_sn = get32(header + 24) + 1;
}

/* The header has come: what its data is for. */
static void begin(struct session *s)
{
    if (s->digests && !digest_is(s->header + BHS, crc32c(CRC32C_SEED, s->header, BHS)))
        fail("a header digest is wrong");
    if (s->header[4])
        fail("additional header segments, which nobody asked for");
    s->payload = get24(s->header + 5);
    s->padding = -s->payload & 3;
    s->tail_size = s->digests && s->payload ? 4 : 0;
    s->tail_have = s->at = 0;
    s->sum = CRC32C_SEED;
    s->task = NULL;
    if ((s->header[0] & 0x3f) == DATA_IN) {
        struct task *task = task_of(s);
        if (get32(s->header + 40) != task->received || task->received + s->payload > option.size)
            fail("Data-In of %u bytes at offset %u, after %u", s->payload, get32(s->header + 40), task->received);
        if (task->compared)
            s->task = task;
    }
}

static void finish(struct session *s) /* all of a PDU has come; s->at bytes of data */
{
    uint8_t opcode = s->header[0] & 0x3f;
    if (s->tail_size && !digest_is(s->tail, s->sum))
        fail("a data digest is wrong");
    note_numbers(s, s->header);
    if (opcode == DATA_IN) {
        struct task *task = task_of(s);
        task->received += s->at;
        if (s->header[1] & HAS_STATUS) {
            s->at = 0; /* no sense data here */
            ended(s, task, s->header[3], false);
        }
    } else if (opcode == SCSI_RESPONSE) {
        ended(s, task_of(s), s->header[2] ? 0xff : s->header[3], true);
    } else if (opcode == R2T) {
        struct task *task = task_of(s);
        uint32_t offset = get32(s->header + 40), length = get32(s->header + 44);
        if (!task->writes || offset > option.size || length > option.size - offset)
            fail("an R2T for %u bytes at offset %u", length, offset);
        send_data(s, task, get32(s->header + 20), offset, length);
    } else if (opcode == NOP_IN) {
        answer_nop(s);
    } else {
        fail("the target sends opcode %02x, reason %02x", opcode, s->header[2]);
    }
}

static void received(struct session *s, const uint8_t *data, size_t length)
{
    const uint32_t header_size = s->digests ? BHS + 4 : BHS;
    while (length) {
        if (s->have < header_size) {
            size_t part = header_size - s->have < length ? header_size - s->have : length;
            memcpy(s->header + s->have, data, part);
            data += part;
            length -= part;
            if ((s->have += part) < header_size)
                return;
            begin(s);
        }
        uint32_t part = s->payload < length ? s->payload : (uint32_t)length;
        if (part) {
            if (s->digests)
                s->sum = crc32c(s->sum, data, part);
            if (s->task)
                memcpy(s->task->buffer + s->task->received + s->at, data, part);
            else if (s->at < sizeof s->small)
                memcpy(s->small + s->at, data, part < sizeof s->small - s->at ? part : sizeof s->small - s->at);
            data += part;
            length -= part;
            s->at += part;
            s->payload -= part;
        }
        for (; !s->payload && s->padding && length; s->padding--, length--)
            s->sum = crc32c(s->sum, data++, 1);
        for (; !s->payload && !s->padding && s->tail_have < s->tail_size && length; length--)
            s->tail[s->tail_have++] = *data++;
        if (s->payload || s->padding || s->tail_have < s->tail_size)
            return;
        finish(s);
        s->have = 0;
    }
}

/* One receive, and all that follows from it. */
static void serve(struct session *s, int flags)
{
    ssize_t got = recv(s->fd, incoming, sizeof incoming, flags);
    if (got == 0)
        fail("the target closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        fail("receiving: %s", strerror(errno));
    now = clock_now();
    if (got > 0)
        received(s, incoming, (size_t)got);
    else if (!(flags & MSG_DONTWAIT))
        fail("no answer within %d seconds", PATIENCE);
    issue(s);
}

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
        case 't': option.seconds = (unsigned)number(optarg); break;
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
    go(start + (uint64_t)option.seconds * 1000000000u);
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
    for (unsigned i = 0; i < option.sessions; i++)
        log_out(&sessions[i]);
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
