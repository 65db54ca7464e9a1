/* The part of load.c that makes commands: what a session is, the pattern of verified writes, and sending. */

enum { PATIENCE = 30, SEGMENT = 262144, RECEIVE = 524288, MOST_IOVS = 256 };

static struct {
    unsigned sessions, depth, size, read_percent, samples;
    double seconds;
    bool sequential, digests, verify;
    uint64_t count, seed;
    const char *initiator;
} option = {1, 32, 4096, 100, 2000, 5.0, false, false, false, 0, 0, "iqn.2026-11.test.bench:load"};

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
