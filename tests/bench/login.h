/* The part of load.c that waits: a session's login (RFC 7143 section 6), its first commands, its logout. */

static void send_all(struct session *s, const void *data, size_t length)
{
    for (const char *at = data; length;) {
        ssize_t sent = send(s->fd, at, length, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("sending: %s", strerror(errno));
        at += sent;
        length -= (size_t)sent;
    }
}

static void receive_all(struct session *s, void *data, size_t length)
{
    for (char *at = data; length;) {
        ssize_t got = recv(s->fd, at, length, 0);
        if (got <= 0)
            fail("waiting for an answer: %s", got ? strerror(errno) : "the target closed the connection");
        at += got;
        length -= (size_t)got;
    }
}

/* Sends a PDU whose text fits one segment. */
static void send_pdu(struct session *s, uint8_t *header, const char *text, uint32_t length)
{
    uint8_t data[8192] = {0};
    uint32_t padded = (length + 3) & ~3u;
    put24(header + 5, length);
    put32(header + 24, s->cmd_sn);
    put32(header + 28, s->exp_stat_sn);
    put_digest(header + BHS, crc32c(CRC32C_SEED, header, BHS));
    send_all(s, header, s->digests ? BHS + 4 : BHS);
    if (!length)
        return;
    memcpy(data, text, length);
    put_digest(data + padded, crc32c(CRC32C_SEED, data, padded));
    send_all(s, data, s->digests ? padded + 4 : padded);
}

/* Receives a PDU that is no ping; the length of its data, of which ``data`` gets at most ``room`` bytes. */
static uint32_t receive_pdu(struct session *s, uint8_t *header, uint8_t *data, uint32_t room)
{
    for (;;) {
        receive_all(s, header, s->digests ? BHS + 4 : BHS);
        uint32_t length = get24(header + 5), padded = (length + 3) & ~3u;
        if (s->digests && !digest_is(header + BHS, crc32c(CRC32C_SEED, header, BHS)))
            fail("a header digest is wrong");
        if (padded + 4 > RECEIVE)
            fail("%u bytes of data where little was expected", length);
        receive_all(s, incoming, s->digests && length ? padded + 4 : padded);
        if (s->digests && length && !digest_is(incoming + padded, crc32c(CRC32C_SEED, incoming, padded)))
            fail("a data digest is wrong");
        memcpy(data, incoming, length < room ? length : room);
        note_numbers(s, header);
        if ((header[0] & 0x3f) != NOP_IN)
            return length;
        memcpy(s->header, header, BHS);
        answer_nop(s);
        flush(s);
    }
}

/* A declared or negotiated value; NULL: the target does not say. */
static const char *value_of(const char *text, uint32_t length, const char *key)
{
    size_t size = strlen(key);
    for (const char *at = text; at < text + length; at += strlen(at) + 1)
        if (!strncmp(at, key, size) && at[size] == '=')
            return at + size + 1;
    return NULL;
}

static void settle(struct session *s, const char *text, uint32_t length)
{
    const char *value;
    if ((value = value_of(text, length, "MaxRecvDataSegmentLength")))
        s->segment = (uint32_t)strtoul(value, NULL, 0);
    if ((value = value_of(text, length, "FirstBurstLength")))
        s->first_burst = (uint32_t)strtoul(value, NULL, 0);
    if ((value = value_of(text, length, "MaxBurstLength")))
        s->max_burst = (uint32_t)strtoul(value, NULL, 0);
    if ((value = value_of(text, length, "ImmediateData")))
        s->immediate = !strcmp(value, "Yes");
    if ((value = value_of(text, length, "InitialR2T")))
        s->initial_r2t = !strcmp(value, "Yes");
}

/* One login request and its response, in stage ``current`` asking for ``next``; true: it moved on. */
static bool login_step(struct session *s, unsigned index, int current, int next, const char *text, uint32_t length)
{
    uint8_t header[BHS + 4] = {LOGIN | IMMEDIATE, FINAL | current << 2 | next};
    uint8_t answer[8193] = {0};
    header[8] = 0x80; /* ISID: a random qualifier (section 11.12.5) */
    put24(header + 9, (uint32_t)getpid());
    header[12] = index >> 8;
    header[13] = index;
    put32(header + 16, index);
    send_pdu(s, header, text, length);
    uint32_t got = receive_pdu(s, header, answer, sizeof answer - 1);
    if ((header[0] & 0x3f) != LOGIN_RESPONSE || header[36])
        fail("login to %s refused with %02x%02x", s->url->target, header[36], header[37]);
    s->exp_stat_sn = get32(header + 24) + 1;
    settle(s, (char *)answer, got);
    const char *digests[] = {"HeaderDigest", "DataDigest"};
    for (int i = 0; i < 2 && option.digests && current == 1; i++) {
        const char *value = value_of((char *)answer, got, digests[i]);
        if (value && strcmp(value, "CRC32C"))
            fail("%s does not do %s=CRC32C", s->url->target, digests[i]);
    }
    return header[1] & FINAL;
}

static void log_in(struct session *s, unsigned index)
{
    char text[2048];
    int length = snprintf(text, sizeof text, "InitiatorName=%s%cSessionType=Normal%cTargetName=%s%cAuthMethod=None%c",
                          option.initiator, 0, 0, s->url->target, 0, 0);
    for (int tries = 0; !login_step(s, index, 0, 1, text, tries ? 0 : (uint32_t)length); tries++)
        if (tries > 8)
            fail("login does not leave the security stage");
    const char *digest = option.digests ? "CRC32C" : "None";
    length = snprintf(text, sizeof text,
                      "HeaderDigest=%s%cDataDigest=%s%cMaxRecvDataSegmentLength=%d%cImmediateData=Yes%cInitialR2T=No%c"
                      "FirstBurstLength=1048576%cMaxBurstLength=4194304%cMaxOutstandingR2T=16%cMaxConnections=1%c"
                      "DataPDUInOrder=Yes%cDataSequenceInOrder=Yes%cErrorRecoveryLevel=0%c"
                      "DefaultTime2Wait=2%cDefaultTime2Retain=0%c",
                      digest, 0, digest, 0, SEGMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    for (int tries = 0; !login_step(s, index, 1, 3, text, tries ? 0 : (uint32_t)length); tries++)
        if (tries > 8)
            fail("login does not reach the full feature phase");
    s->digests = option.digests;
}

/* A command that reads at most 255 bytes; its status, or the sense key negated where that is CHECK CONDITION. */
static int command(struct session *s, unsigned lun, const uint8_t *cdb, uint8_t *data, uint32_t room)
{
    uint8_t header[BHS + 4] = {SCSI_COMMAND, FINAL | (room ? READ_BIT : 0) | SIMPLE}, more[256] = {0};
    put_lun(header + 8, lun);
    put32(header + 20, room);
    memcpy(header + 32, cdb, 16);
    send_pdu(s, header, NULL, 0);
    s->cmd_sn++;
    for (;;) {
        receive_pdu(s, header, more, sizeof more);
        uint8_t opcode = header[0] & 0x3f;
        if (opcode == DATA_IN)
            memcpy(data, more, room < sizeof more ? room : sizeof more);
        if (opcode == DATA_IN && header[1] & HAS_STATUS)
            return header[3];
        if (opcode == SCSI_RESPONSE)
            return header[2] ? 0xff : header[3] == CHECK_CONDITION ? -(more[2 + 2] & 0x0f) : header[3];
        if (opcode != DATA_IN)
            fail("the target answers a command with opcode %02x", opcode);
    }
}

/* READ CAPACITY(16), which also takes the unit attention of a new nexus. */
static void look_at(struct session *s, struct unit *unit)
{
    uint8_t cdb[16] = {0x9e, 0x10, [13] = 32}, data[32] = {0};
    int status = -6;
    for (int tries = 0; status == -6 && tries < 8; tries++)
        status = command(s, unit->lun, cdb, data, sizeof data);
    if (status)
        fail("READ CAPACITY(16) of LUN %u: status %d", unit->lun, status);
    uint64_t last;
    memcpy(&last, data, 8);
    unit->block_size = get32(data + 8);
    unit->places = (be64toh(last) + 1) * unit->block_size / option.size;
    if (!unit->block_size || option.size % unit->block_size || !unit->places)
        fail("LUN %u has blocks of %u bytes, %llu of them: no room for %u bytes", unit->lun, unit->block_size,
             (unsigned long long)be64toh(last) + 1, option.size);
    if (option.verify)
        unit->written = zeroed(unit->places, 1);
}

static void open_session(struct session *s, struct url *url, unsigned index)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int problem = getaddrinfo(url->host, url->port, &hints, &found), one = 1;
    if (problem)
        fail("%s: %s", url->host, gai_strerror(problem));
    s->url = url;
    s->rank = url->sessions++;
    s->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, found->ai_addr, found->ai_addrlen))
        fail("%s port %s: %s", url->host, url->port, strerror(errno));
    freeaddrinfo(found);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    s->segment = 8192; /* defaults, section 13 */
    s->first_burst = 65536;
    s->max_burst = 262144;
    s->immediate = s->initial_r2t = true;
    s->cmd_sn = 1;
    s->random = mixed(option.seed + index) | 1;
    s->ring = zeroed(16, sizeof *s->ring); /* for pings, until it is known how much one command sends */
    s->mask = 15;
    log_in(s, index);
    for (unsigned i = 0; i < url->count; i++)
        if (!s->rank)
            look_at(s, &url->units[i]);
    uint64_t most = (uint64_t)option.depth * (option.size / s->segment + option.size / 512 / 128 + 4) + 16;
    while (s->mask < most)
        s->mask = s->mask * 2 + 1;
    free(s->ring);
    s->ring = zeroed((size_t)s->mask + 1, sizeof *s->ring);
    s->head = s->end = 0;
    if (option.sequential)
        s->cursor = url->units->places / option.sessions * s->rank;
    s->tasks = zeroed(option.depth, sizeof *s->tasks);
    s->free = zeroed(option.depth, sizeof *s->free);
    for (unsigned i = 0; i < option.depth; i++) {
        s->tasks[i].buffer = option.verify ? zeroed(1, option.size) : noise;
        s->free[s->idle++] = &s->tasks[i];
    }
}

/* All ask before the first answer is waited for: istgt takes a second for each. It sometimes closes the connection
 * instead of answering, so either ends the session. */
static void log_out_all(void)
{
    for (struct session *s = sessions; s < sessions + option.sessions; s++) {
        uint8_t header[BHS + 4] = {LOGOUT | IMMEDIATE, FINAL};
        put32(header + 16, 1);
        send_pdu(s, header, NULL, 0);
    }
    for (struct session *s = sessions; s < sessions + option.sessions; s++) {
        ssize_t got = recv(s->fd, incoming, sizeof incoming, 0);
        if (got >= BHS && (incoming[0] & 0x3f) == LOGOUT_RESPONSE && incoming[2])
            fail("logout answered by response %02x", incoming[2]);
        close(s->fd);
    }
}

/* iscsi://HOST:PORT/TARGET/LUN or .../LUN-LASTLUN */
static void read_url(const char *text, struct url *url)
{
    char *copy = strdup(text), *host = copy + strlen("iscsi://"), *port, *target, *luns, *end;
    if (strncmp(copy, "iscsi://", 8) || !(target = strchr(host, '/')) || !(luns = strrchr(target + 1, '/')))
        fail("%s is no URL of a LUN: iscsi://HOST:PORT/TARGET/LUN", text);
    *target++ = *luns++ = 0;
    port = strrchr(host, ':');
    if (!port)
        fail("%s names no port", text);
    *port++ = 0;
    if (*host == '[') /* an IPv6 address */
        host[strlen(host) - 1] = 0, host++;
    unsigned first = (unsigned)strtoul(luns, &end, 10), last = first;
    if (*end == '-')
        last = (unsigned)strtoul(end + 1, &end, 10);
    if (*end || end == luns || last < first || last > 16383)
        fail("%s is no LUN", luns);
    url->host = host, url->port = port, url->target = target;
    url->count = last - first + 1;
    url->units = zeroed(url->count, sizeof *url->units);
    for (unsigned i = 0; i < url->count; i++) {
        url->units[i].lun = first + i;
        url->units[i].key = mixed(option.seed ^ mixed((uint64_t)(url - urls) << 32 | (first + i)));
    }
}
