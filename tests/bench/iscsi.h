/* What the generator and the stub share of RFC 7143: opcodes, flags, fields of headers. */
#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { /* opcodes, RFC 7143 section 11.2.1.2 */
    NOP_OUT = 0x00, SCSI_COMMAND = 0x01, LOGIN = 0x03, DATA_OUT = 0x05, LOGOUT = 0x06,
    NOP_IN = 0x20, SCSI_RESPONSE = 0x21, LOGIN_RESPONSE = 0x23, DATA_IN = 0x25, LOGOUT_RESPONSE = 0x26, R2T = 0x31,
};
enum { IMMEDIATE = 0x40, FINAL = 0x80, READ_BIT = 0x40, WRITE_BIT = 0x20, SIMPLE = 1, HAS_STATUS = 0x01 };
enum { BHS = 48, GOOD = 0, CHECK_CONDITION = 2 };
#define NO_TAG 0xffffffffu

static inline uint32_t get32(const uint8_t *at) { uint32_t value; memcpy(&value, at, 4); return be32toh(value); }
static inline void put32(uint8_t *at, uint32_t value) { value = htobe32(value); memcpy(at, &value, 4); }
static inline void put64(uint8_t *at, uint64_t value) { value = htobe64(value); memcpy(at, &value, 8); }
static inline uint32_t get24(const uint8_t *at) { return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]; }
static inline void put24(uint8_t *at, uint32_t value) { at[0] = value >> 16; at[1] = value >> 8; at[2] = value; }
