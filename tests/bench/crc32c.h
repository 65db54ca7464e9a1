/* CRC32C (RFC 7143 section 13.1): by the processor's instruction in three interleaved streams, else by a table. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC32C_SEED 0xffffffffu /* what every sum starts with; the digest is the complement of the last value */
#define CRC32C_STREAM 1024u     /* bytes of each of the three streams */

static uint32_t crc32c_bytes[256];     /* one byte further */
static uint32_t crc32c_zeros[4][256];  /* CRC32C_STREAM zero bytes further, by each byte of the sum */
static uint32_t (*crc32c)(uint32_t sum, const void *data, size_t length);

static uint32_t crc32c_by_table(uint32_t sum, const void *data, size_t length)
{
    for (const uint8_t *byte = data; length--; byte++)
        sum = crc32c_bytes[(sum ^ *byte) & 0xff] ^ sum >> 8;
    return sum;
}

#ifdef __x86_64__
static uint32_t crc32c_over_zeros(uint32_t sum)
{
    return crc32c_zeros[0][sum & 0xff] ^ crc32c_zeros[1][sum >> 8 & 0xff] ^ crc32c_zeros[2][sum >> 16 & 0xff]
           ^ crc32c_zeros[3][sum >> 24];
}

/* The instruction takes three cycles and one can begin in each, so three sums at once cost as much as one. */
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(uint32_t sum, const void *data, size_t length)
{
    const uint8_t *at = data;
    for (; length >= 3 * CRC32C_STREAM; at += 3 * CRC32C_STREAM, length -= 3 * CRC32C_STREAM) {
        uint64_t first = sum, second = 0, third = 0, words[3];
        for (unsigned i = 0; i < CRC32C_STREAM; i += 8) {
            memcpy(&words[0], at + i, 8);
            memcpy(&words[1], at + CRC32C_STREAM + i, 8);
            memcpy(&words[2], at + 2 * CRC32C_STREAM + i, 8);
            first = __builtin_ia32_crc32di(first, words[0]);
            second = __builtin_ia32_crc32di(second, words[1]);
            third = __builtin_ia32_crc32di(third, words[2]);
        }
        sum = crc32c_over_zeros(crc32c_over_zeros((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sum = (uint32_t)__builtin_ia32_crc32di(sum, word);
    }
    for (; length; at++, length--)
        sum = __builtin_ia32_crc32qi(sum, *at);
    return sum;
}
#endif

static void crc32c_prepare(void)
{
    static const uint8_t zeros[CRC32C_STREAM];
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78u : 0);
        crc32c_bytes[byte] = sum;
    }
    crc32c = crc32c_by_table;
#ifdef __x86_64__
    if (!__builtin_cpu_supports("sse4.2"))
        return;
    for (unsigned place = 0; place < 4; place++)
        for (unsigned byte = 0; byte < 256; byte++)
            crc32c_zeros[place][byte] = crc32c_by_table((uint32_t)byte << 8 * place, zeros, CRC32C_STREAM);
    crc32c = crc32c_by_instruction;
#endif
}
