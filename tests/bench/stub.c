/* The floor for large reads: a target that thinks about nothing. Every answer is canned but for its tags and numbers,
 * the data of reads goes from the file to the socket by sendfile. One connection at a time, READ only, RFC 7143.
 *
 *     stub FILE PORT       listens on 127.0.0.1; one LUN, whatever its number; any target name */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iscsi.h"

enum { SEGMENT = 262144, ROOM = 65536, BLOCK = 512, WINDOW = 128 };

static const char OPERATIONAL[] =
    "HeaderDigest=None\0DataDigest=None\0MaxRecvDataSegmentLength=262144\0InitialR2T=Yes\0ImmediateData=Yes\0"
    "MaxBurstLength=1048576\0FirstBurstLength=262144\0MaxOutstandingR2T=1\0MaxConnections=1\0DataPDUInOrder=Yes\0"
    "DataSequenceInOrder=Yes\0ErrorRecoveryLevel=0\0DefaultTime2Wait=2\0DefaultTime2Retain=0\0IFMarker=No\0OFMarker=No";

static int file, peer;
static uint64_t blocks;
static uint32_t stat_sn, cmd_sn;

static int put_all(const void *data, size_t length, int flags)
{
    for (const char *at = data; length;) {
        ssize_t sent = send(peer, at, length, flags | MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        at += sent, length -= (size_t)sent;
    }
    return 0;
}

static int put_file(off_t offset, size_t length)
{
    while (length) {
        ssize_t sent = sendfile(peer, file, &offset, length);
        if (sent <= 0)
            return -1;
        length -= (size_t)sent;
    }
    return 0;
}

/* A header with what all have: opcode, flags, the tag of the request, StatSN, ExpCmdSN, MaxCmdSN. */
static void prepare(uint8_t *header, uint8_t opcode, uint8_t flags, const uint8_t *request, uint32_t length)
{
    memset(header, 0, BHS);
    header[0] = opcode, header[1] = flags;
    put24(header + 5, length);
    memcpy(header + 16, request + 16, 4);
    put32(header + 24, stat_sn);
    put32(header + 28, cmd_sn);
    put32(header + 32, cmd_sn + WINDOW);
}

static int respond(const uint8_t *request, uint8_t opcode, uint8_t flags, uint8_t status, const void *data, uint32_t length)
{
    uint8_t answer[BHS + 1024] = {0};
    prepare(answer, opcode, flags, request, length);
    answer[3] = status;
    memcpy(answer + BHS, data, length);
    stat_sn++;
    return put_all(answer, BHS + ((length + 3) & ~3u), 0);
}

static int login(const uint8_t *request, const char *text, uint32_t length)
{
    uint8_t answer[BHS + 1024] = {0};
    char *at = (char *)answer + BHS;
    if ((request[1] >> 2 & 3) == 0) { /* security stage */
        at += sprintf(at, "AuthMethod=None") + 1;
        at += sprintf(at, "TargetPortalGroupTag=1") + 1;
    } else /* of the keys that were offered the canned value */
        for (const char *key = OPERATIONAL; key < OPERATIONAL + sizeof OPERATIONAL; key += strlen(key) + 1) {
            size_t name = (size_t)(strchr(key, '=') - key) + 1;
            for (const char *offer = text; offer < text + length; offer += strlen(offer) + 1)
                if (!strncmp(offer, key, name))
                    at += sprintf(at, "%s", key) + 1;
        }
    uint32_t size = (uint32_t)(at - (char *)answer) - BHS;
    stat_sn = get32(request + 28);
    cmd_sn = get32(request + 24);
    prepare(answer, LOGIN_RESPONSE, request[1], request, size);
    memcpy(answer + 8, request + 8, 6); /* ISID */
    answer[15] = (request[1] & FINAL) && (request[1] & 3) == 3; /* TSIH */
    stat_sn++;
    return put_all(answer, BHS + ((size + 3) & ~3u), 0);
}

static int read_blocks(const uint8_t *request, uint64_t lba, uint64_t count)
{
    uint8_t header[BHS];
    if (lba + count > blocks)
        return -1;
    uint64_t length = count * BLOCK;
    for (uint64_t offset = 0, part; offset < length; offset += part) {
        part = length - offset < SEGMENT ? length - offset : SEGMENT;
        prepare(header, DATA_IN, offset + part == length ? FINAL : 0, request, (uint32_t)part);
        put32(header + 20, NO_TAG);
        put32(header + 24, 0);
        put32(header + 36, (uint32_t)(offset / SEGMENT));
        put32(header + 40, (uint32_t)offset);
        if (put_all(header, BHS, MSG_MORE) || put_file((off_t)(lba * BLOCK + offset), part))
            return -1;
    }
    prepare(header, SCSI_RESPONSE, FINAL, request, 0);
    stat_sn++;
    return put_all(header, BHS, 0);
}

static int command(const uint8_t *request)
{
    static const uint8_t inquiry[36] = "\0\0\5\22\37\0\0\2" "ietpy   " "stub            " "0   ";
    static const uint8_t invalid[20] = {0, 18, 0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20};
    static const uint8_t luns[16] = {[3] = 8, [9] = 1};
    const uint8_t *cdb = request + 32;
    uint64_t lba;
    uint32_t expected = get32(request + 20);
    uint8_t data[32] = {0};
    cmd_sn++;
    switch (cdb[0]) {
    case 0x00: /* TEST UNIT READY */
        return respond(request, SCSI_RESPONSE, FINAL, GOOD, "", 0);
    case 0x12: /* INQUIRY; no vital product data */
        if (cdb[1] & 1)
            break;
        return respond(request, DATA_IN, FINAL | HAS_STATUS, GOOD, inquiry, expected < 36 ? expected : 36);
    case 0x25: /* READ CAPACITY(10) */
        put32(data, (uint32_t)(blocks - 1));
        put32(data + 4, BLOCK);
        return respond(request, DATA_IN, FINAL | HAS_STATUS, GOOD, data, 8);
    case 0x9e: /* READ CAPACITY(16) */
        put64(data, blocks - 1);
        put32(data + 8, BLOCK);
        return respond(request, DATA_IN, FINAL | HAS_STATUS, GOOD, data, expected < 32 ? expected : 32);
    case 0xa0: /* REPORT LUNS */
        return respond(request, DATA_IN, FINAL | HAS_STATUS, GOOD, luns, expected < 16 ? expected : 16);
    case 0x28: /* READ(10) */
        return read_blocks(request, get32(cdb + 2), (uint64_t)cdb[7] << 8 | cdb[8]);
    case 0x88: /* READ(16) */
        memcpy(&lba, cdb + 2, 8);
        return read_blocks(request, be64toh(lba), get32(cdb + 10));
    }
    return respond(request, SCSI_RESPONSE, FINAL, CHECK_CONDITION, invalid, sizeof invalid);
}

static int answer(const uint8_t *request, const char *data, uint32_t length)
{
    switch (request[0] & 0x3f) {
    case LOGIN:
        return login(request, data, length);
    case SCSI_COMMAND:
        return command(request);
    case NOP_OUT:
        return get32(request + 16) == NO_TAG ? 0 : respond(request, NOP_IN, FINAL, 0, data, length < 1024 ? length : 1024);
    case LOGOUT:
        respond(request, LOGOUT_RESPONSE, FINAL, 0, "", 0);
    }
    return -1;
}

static void serve(void)
{
    static uint8_t window[ROOM];
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(peer, window + have, ROOM - have, 0);
        if (got <= 0)
            return;
        have += (size_t)got;
        size_t at = 0;
        while (have - at >= BHS) {
            uint32_t length = get24(window + at + 5);
            size_t whole = BHS + ((length + 3) & ~3u);
            if (whole > ROOM)
                return;
            if (have - at < whole)
                break;
            if (answer(window + at, (char *)window + at + BHS, length))
                return;
            at += whole;
        }
        memmove(window, window + at, have -= at);
    }
}

int main(int argc, char **argv)
{
    struct stat status;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 3 || (file = open(argv[1], O_RDONLY)) < 0 || fstat(file, &status)) {
        fprintf(stderr, "usage: stub FILE PORT\n");
        return 2;
    }
    blocks = (uint64_t)status.st_size / BLOCK;
    address.sin_port = htons((uint16_t)atoi(argv[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) {
        fprintf(stderr, "stub: port %s: %s\n", argv[2], strerror(errno));
        return 2;
    }
    while ((peer = accept(listener, NULL, NULL)) >= 0) {
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        serve();
        close(peer);
    }
    return 2;
}
