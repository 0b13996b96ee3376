// The part of LZ4 that Verilator's FST writer calls, so that FST files need no package of the system.
//
// A block is a row of sequences: a token (lengths of literals and match, 15 means that bytes of up to 255 follow), the literals, the
// distance of the match in two bytes, low first. Matches have at least 4 bytes; the last 5 bytes are literals, and the last match begins at
// least 12 bytes before the end. Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md

#ifndef QSIM_LZ4_H
#define QSIM_LZ4_H

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace qsim_lz4 {

inline uint8_t* length(uint8_t* out, int rest) {
    for (; rest >= 255; rest -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(rest);
    return out;
}

// Literals from `from` to `to`, then a match of `matched` bytes `distance` back; no match in the last sequence.
inline uint8_t* sequence(uint8_t* out, const uint8_t* from, const uint8_t* to, int matched, int distance) {
    const int literals = static_cast<int>(to - from), more = matched ? matched - 4 : 0;
    *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4 | (more < 15 ? more : 15));
    if (literals >= 15) out = length(out, literals - 15);
    std::memcpy(out, from, literals);
    out += literals;
    if (!matched) return out;
    *out++ = static_cast<uint8_t>(distance);
    *out++ = static_cast<uint8_t>(distance >> 8);
    return more >= 15 ? length(out, more - 15) : out;
}

inline uint32_t word(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, 4);
    return value;
}

}  // namespace qsim_lz4

// Greedy: the last place with the same hash of 4 bytes. `capacity` must be at least LZ4_compressBound(size).
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    using namespace qsim_lz4;
    if (capacity < LZ4_compressBound(size)) return 0;
    const auto* const begin = reinterpret_cast<const uint8_t*>(source);
    const uint8_t *const end = begin + size, *literals = begin, *at = begin;
    auto* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int32_t> last(1 << 12, -1);
    while (end - at > 12) {
        int32_t& place = last[word(at) * 2654435761u >> 20];
        const uint8_t* const before = begin + place;
        const bool known = place >= 0 && at - before <= 65535 && word(before) == word(at);
        place = static_cast<int32_t>(at - begin);
        if (!known) {
            ++at;
            continue;
        }
        int matched = 4;
        while (at + matched < end - 5 && before[matched] == at[matched]) ++matched;
        out = sequence(out, literals, at, matched, static_cast<int>(at - before));
        literals = at += matched;
    }
    out = sequence(out, literals, end, 0, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}

#endif
