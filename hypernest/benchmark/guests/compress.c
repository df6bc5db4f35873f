/* Compresses COUNT texts and restores them: LZ77 with hash chains and one step of looking ahead, its tokens written
   by an adaptive binary arithmetic coder. What compressors spend their time on, without their file formats. */
#include <string.h>

#include "linux_workloads.h"
#include "workload.h"

#define TEXT_SIZE (256 << 10)
#define WORDS 512
#define LONGEST_WORD 10

#define WINDOW (32 << 10)
#define HASH_BITS 15
#define CHAIN_LIMIT 24
#define SHORTEST 4
#define LONGEST (SHORTEST + 255)

static uint8_t text[TEXT_SIZE], restored[TEXT_SIZE], packed[2 * TEXT_SIZE];

/* Words of syllables, the early ones more frequent than the late ones. */
static void write_text(uint64_t seed)
{
    static const char consonants[] = "bdfgklmnprstvz", vowels[] = "aeiou";
    static char words[WORDS][LONGEST_WORD + 1];
    for (int i = 0; i < WORDS; i++) {
        int length = 2 + (int)(next_random(&seed) >> 40) % (LONGEST_WORD - 1);
        for (int j = 0; j < length; j++) {
            unsigned pick = next_random(&seed) >> 40;
            words[i][j] = j & 1 ? vowels[pick % (sizeof vowels - 1)] : consonants[pick % (sizeof consonants - 1)];
        }
        words[i][length] = 0;
    }
    for (int place = 0; place < TEXT_SIZE;) {
        uint64_t random = next_random(&seed);
        unsigned word = (random >> 8 & (WORDS - 1)) * (random >> 20 & (WORDS - 1)) / WORDS;
        for (const char *c = words[word]; *c && place < TEXT_SIZE; c++)
            text[place++] = (uint8_t)*c;
        if (place < TEXT_SIZE)
            text[place++] = "      ,.\n "[random >> 40 & 7];
    }
}

/* --- The arithmetic coder: the interval [low, high] shrinks by each bit's probability of being 1. --- */

struct coder {
    uint32_t low, high, code;
    uint8_t *place, *end;
};

/* Probabilities in 1/65536 that the next bit is a 1; symbols of several bits walk down a tree of them. */
struct model {
    uint16_t is_match[2], literal[8][256], length[256], distance_bits[32];
};

static void forget(struct model *model)
{
    uint16_t *probability = (uint16_t *)model;
    for (size_t i = 0; i < sizeof *model / sizeof *probability; i++)
        probability[i] = 1 << 15;
}

static uint32_t split(const struct coder *coder, uint16_t probability)
{
    return coder->low + ((coder->high - coder->low) >> 12) * (probability >> 4);
}

/* Takes the half that `bit` means, and learns from it. */
static void narrow(struct coder *coder, uint16_t *probability, uint32_t middle, unsigned bit)
{
    if (bit) {
        coder->high = middle;
        *probability += (65535 - *probability) >> 5;
    } else {
        coder->low = middle + 1;
        *probability -= *probability >> 5;
    }
}

static int leading_byte_is_known(const struct coder *coder) { return ((coder->low ^ coder->high) >> 24) == 0; }

static void widen(struct coder *coder)
{
    coder->low <<= 8;
    coder->high = coder->high << 8 | 255;
}

static void put_bit(struct coder *coder, uint16_t *probability, unsigned bit)
{
    narrow(coder, probability, split(coder, *probability), bit);
    for (; leading_byte_is_known(coder); widen(coder)) {
        if (coder->place == coder->end)
            fail("compress: the output is full");
        *coder->place++ = (uint8_t)(coder->high >> 24);
    }
}

static uint8_t next_byte(struct coder *coder) { return coder->place < coder->end ? *coder->place++ : 0; }

static unsigned get_bit(struct coder *coder, uint16_t *probability)
{
    uint32_t middle = split(coder, *probability);
    unsigned bit = coder->code <= middle;
    narrow(coder, probability, middle, bit);
    for (; leading_byte_is_known(coder); widen(coder))
        coder->code = coder->code << 8 | next_byte(coder);
    return bit;
}

static void put_symbol(struct coder *coder, uint16_t *tree, int bits, unsigned symbol)
{
    for (unsigned node = 1; bits-- > 0;) {
        unsigned bit = symbol >> bits & 1;
        put_bit(coder, &tree[node], bit);
        node = node << 1 | bit;
    }
}

static unsigned get_symbol(struct coder *coder, uint16_t *tree, int bits)
{
    unsigned node = 1;
    for (int i = 0; i < bits; i++)
        node = node << 1 | get_bit(coder, &tree[node]);
    return node - (1u << bits);
}

/* Bits that nothing is known of. */
static void put_plain(struct coder *coder, int bits, unsigned value)
{
    while (bits-- > 0) {
        uint16_t even = 1 << 15;
        put_bit(coder, &even, value >> bits & 1);
    }
}

static unsigned get_plain(struct coder *coder, int bits)
{
    unsigned value = 0;
    for (int i = 0; i < bits; i++) {
        uint16_t even = 1 << 15;
        value = value << 1 | get_bit(coder, &even);
    }
    return value;
}

static uint16_t *literal_tree(struct model *model, uint8_t before) { return model->literal[before >> 2 & 7]; }

/* --- Finding what was there before. --- */

static int32_t newest[1 << HASH_BITS], older[WINDOW];

static uint32_t hash_at(int place)
{
    uint32_t four;
    memcpy(&four, text + place, sizeof four);
    return four * 2654435761u >> (32 - HASH_BITS);
}

static void remember(int place)
{
    if (place + SHORTEST > TEXT_SIZE)
        return;
    uint32_t hash = hash_at(place);
    older[place % WINDOW] = newest[hash];
    newest[hash] = place;
}

/* The longest earlier occurrence of what stands at `place`, and how far back it is; 0 if there is none worth it. */
static int find_match(int place, int *distance)
{
    int limit = TEXT_SIZE - place < LONGEST ? TEXT_SIZE - place : LONGEST, best = SHORTEST - 1;
    if (limit < SHORTEST)
        return 0;
    int candidate = newest[hash_at(place)];
    for (int chain = 0; chain < CHAIN_LIMIT && candidate >= 0 && place - candidate < WINDOW; chain++) {
        if (text[candidate + best] == text[place + best]) {
            int length = 0;
            while (length < limit && text[candidate + length] == text[place + length])
                length++;
            if (length > best) {
                best = length;
                *distance = place - candidate;
                if (best == limit)
                    break;
            }
        }
        candidate = older[candidate % WINDOW];
    }
    return best >= SHORTEST ? best : 0;
}

static size_t compress(void)
{
    static struct model model;
    struct coder coder = {.high = ~0u, .place = packed, .end = packed + sizeof packed};
    forget(&model);
    memset(newest, -1, sizeof newest);
    unsigned matched = 0;
    int distance = 0, later_distance = 0, length = find_match(0, &distance);
    for (int place = 0; place < TEXT_SIZE;) {
        remember(place);
        int later = place + 1 < TEXT_SIZE ? find_match(place + 1, &later_distance) : 0;
        int literal = length == 0 || later > length;
        put_bit(&coder, &model.is_match[matched], !literal);
        matched = !literal;
        if (literal) {
            put_symbol(&coder, literal_tree(&model, place ? text[place - 1] : 0), 8, text[place]);
            place++;
            length = later, distance = later_distance;
            continue;
        }
        int bits = 32 - __builtin_clz((unsigned)distance);
        put_symbol(&coder, model.length, 8, (unsigned)(length - SHORTEST));
        put_symbol(&coder, model.distance_bits, 5, (unsigned)bits);
        put_plain(&coder, bits - 1, (unsigned)distance & ((1u << (bits - 1)) - 1));
        for (int end = place++ + length; place < end; place++)
            remember(place);
        length = place < TEXT_SIZE ? find_match(place, &distance) : 0;
    }
    put_plain(&coder, 32, 0);
    return (size_t)(coder.place - packed);
}

static void decompress(size_t size)
{
    static struct model model;
    struct coder coder = {.high = ~0u, .place = packed, .end = packed + size};
    forget(&model);
    for (int i = 0; i < 4; i++)
        coder.code = coder.code << 8 | next_byte(&coder);
    unsigned matched = 0;
    for (int place = 0; place < TEXT_SIZE;) {
        matched = get_bit(&coder, &model.is_match[matched]);
        if (!matched) {
            uint8_t before = place ? restored[place - 1] : 0;
            restored[place++] = (uint8_t)get_symbol(&coder, literal_tree(&model, before), 8);
            continue;
        }
        int length = SHORTEST + (int)get_symbol(&coder, model.length, 8);
        int bits = (int)get_symbol(&coder, model.distance_bits, 5);
        if (bits < 1 || bits > 16)
            fail("decompress: no such distance");
        int distance = (int)(1u << (bits - 1) | get_plain(&coder, bits - 1));
        if (distance > place || length > TEXT_SIZE - place)
            fail("decompress: a copy from or to nowhere");
        for (; length > 0; length--, place++)
            restored[place] = restored[place - distance];
    }
}

uint64_t compress_text(uint64_t count)
{
    uint64_t checksum = 0;
    for (uint64_t i = 0; i < count; i++) {
        write_text(i + 1);
        size_t size = compress();
        if (size > TEXT_SIZE / 2)
            fail("compress: hardly smaller");
        memset(restored, 0, sizeof restored);
        decompress(size);
        if (memcmp(text, restored, TEXT_SIZE) != 0)
            fail("compress: the text is not restored");
        checksum = fold(checksum, size);
        for (size_t place = 0; place < size; place++)
            checksum = fold(checksum, packed[place]);
    }
    return checksum;
}
