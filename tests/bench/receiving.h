/* The part of load.c that takes what comes: PDUs, and with them the ends of commands. */

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
