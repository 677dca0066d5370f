/* The antialiased bilinear filter (a triangle as wide as the reduction), as Pillow computes it: first
 * along the rows, then down the columns, with 22-bit weights and 8 bits between. The same arithmetic
 * in the same order, so the same bits, in a fifth of the time: Pillow's own loops take one value
 * after the other.
 *
 * Two versions of each direction: one that any compiler makes something of, and one for AVX2. There
 * a weight is two 11-bit halves, since AVX2 multiplies 16-bit pairs: the sums of both are put
 * together at the end, which loses nothing.
 */
#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_AVX2 1
#include <cpuid.h>
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#else
#define HAS_AVX2 0
#endif

enum { BITS = 22, HALF = 11, HALF_MASK = (1 << HALF) - 1, ROUND = 1 << (BITS - 1) };
enum { OVER = 16 }; /* bytes behind a row that vectors may touch */

/* What makes the values of one direction: `weights` holds `taps` for each, 0 where fewer count. */
typedef struct {
    int *first; /* where the source begins to count, for each value */
    int lowest, highest; /* of `first` */
    int32_t *weights;
    int taps;
} Axis;

typedef struct {
    const uint8_t *bytes;
    ptrdiff_t stride;
    int width, height;
} Plane;

static void *room(size_t count, size_t each)
{
    return count && each > SIZE_MAX / count ? NULL : malloc(count * each);
}

/* For `out` values of the stretch from `start` to `stop` of `size`; 0 where memory does not suffice. */
static int axis_of(Axis *axis, int size, float start, float stop, int out)
{
    double step = (double)(stop - start) / out;
    double reach = step < 1 ? 1 : step; /* half of the triangle's width */
    int most = (int)ceil(reach) * 2 + 1;
    double *shares = room(most, sizeof *shares);
    axis->taps = most = (most + 3) & ~3;
    axis->first = room(out, sizeof *axis->first);
    axis->weights = room(out, most * sizeof *axis->weights);
    if (!shares || !axis->first || !axis->weights) {
        free(shares);
        return 0;
    }
    int widest = 1;
    axis->lowest = size;
    axis->highest = 0;
    for (int at = 0; at < out; at++) {
        double centre = start + (at + 0.5) * step, whole = 0;
        int low = (int)(centre - reach + 0.5), high = (int)(centre + reach + 0.5);
        low = low < 0 ? 0 : low;
        high = high > size ? size : high;
        int32_t *weights = axis->weights + (size_t)at * most;
        memset(weights, 0, most * sizeof *weights);
        for (int x = low; x < high; x++) {
            double distance = fabs((x - centre + 0.5) * (1 / reach));
            shares[x - low] = distance < 1 ? 1 - distance : 0;
            whole += shares[x - low];
        }
        int from = low, count = 0; /* of what counts: a triangle's ends often weigh nothing */
        for (int x = low; x < high; x++) {
            double share = whole ? shares[x - low] / whole : shares[x - low];
            int32_t weight = (int32_t)(0.5 + share * (1 << BITS));
            if (weight) {
                from = count ? from : x;
                weights[x - from] = weight;
                count = x - from + 1;
            }
        }
        axis->first[at] = from;
        axis->lowest = from < axis->lowest ? from : axis->lowest;
        axis->highest = from > axis->highest ? from : axis->highest;
        widest = count > widest ? count : widest;
    }
    free(shares);
    int taps = (widest + 3) & ~3;
    for (int at = 1; at < out && taps < most; at++)
        memmove(axis->weights + (size_t)at * taps, axis->weights + (size_t)at * most,
                taps * sizeof *axis->weights);
    axis->taps = taps;
    return 1;
}

static void axis_free(Axis *axis)
{
    free(axis->first);
    free(axis->weights);
}

static uint8_t rounded(int32_t sum)
{
    int32_t value = (sum + ROUND) >> BITS;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* Rows `low` to `high` of `source`, scaled along x, into rows of `made` from 0 on. */
static void along(const Plane *source, int channels, const Axis *x, int out, int low, int high,
                  uint8_t *made, ptrdiff_t made_stride)
{
    for (int row = low; row < high; row++) {
        const uint8_t *values = source->bytes + row * source->stride;
        uint8_t *to = made + (row - low) * made_stride;
        for (int at = 0; at < out; at++) {
            const int32_t *weights = x->weights + (size_t)at * x->taps;
            const uint8_t *from = values + (ptrdiff_t)x->first[at] * channels;
            int count = source->width - x->first[at];
            count = count < x->taps ? count : x->taps;
            for (int channel = 0; channel < channels; channel++) {
                int32_t sum = 0;
                for (int tap = 0; tap < count; tap++)
                    sum += weights[tap] * from[tap * channels + channel];
                *to++ = rounded(sum);
            }
        }
    }
}

/* `values` of each row of `made`, scaled down y. `made` begins at row `low` of the source. */
static void down(const uint8_t *made, ptrdiff_t made_stride, int values, int rows, const Axis *y,
                 int out, int low, uint8_t *to, ptrdiff_t to_stride, int32_t *sums)
{
    for (int at = 0; at < out; at++, to += to_stride) {
        const int32_t *weights = y->weights + (size_t)at * y->taps;
        int first = y->first[at] - low;
        int count = rows - first < y->taps ? rows - first : y->taps;
        memset(sums, 0, values * sizeof *sums);
        for (int tap = 0; tap < count; tap++) {
            const uint8_t *from = made + (first + tap) * made_stride;
            int32_t weight = weights[tap];
            for (int x = 0; x < values; x++)
                sums[x] += weight * from[x];
        }
        for (int x = 0; x < values; x++)
            to[x] = rounded(sums[x]);
    }
}

#if HAS_AVX2
static int ask_for_avx2(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    unsigned kept, none;
    __asm__("xgetbv" : "=a"(kept), "=d"(none) : "c"(0));
    return (kept & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

/* Asked once: a hypervisor takes tens of microseconds to answer. */
static int has_avx2(void)
{
    static atomic_int known = -1;
    if (known < 0)
        known = ask_for_avx2();
    return known;
}

/* Halves of two weights, as one 32-bit lane multiplies by them. */
static inline int32_t uppers_of(int32_t a, int32_t b)
{
    return a >> HALF | (b >> HALF) << 16;
}

static inline int32_t lowers_of(int32_t a, int32_t b)
{
    return (a & HALF_MASK) | (b & HALF_MASK) << 16;
}

/* Weights as vectors multiply by them: of four taps the upper halves, then the lower ones, two in 32
 * bits. */
static int32_t *pairs_of(const Axis *x, int out)
{
    size_t taps = (size_t)out * x->taps;
    int32_t *made = room(taps, sizeof *made);
    for (size_t at = 0; made && at < taps; at += 4) {
        const int32_t *four = x->weights + at;
        int32_t *to = made + at;
        to[0] = uppers_of(four[0], four[1]);
        to[1] = uppers_of(four[2], four[3]);
        to[2] = lowers_of(four[0], four[1]);
        to[3] = lowers_of(four[2], four[3]);
    }
    return made;
}

/* The four rows from `row` on (the last one again where there are fewer), where each may be read for
 * `touched` bytes: what a vector would reach for behind the picture is copied to `tail` first. */
static void four_rows(const Plane *source, int channels, int row, int high, ptrdiff_t touched,
                      uint8_t *tail, const uint8_t *from[4])
{
    const uint8_t *end = source->bytes + (source->height - 1) * source->stride +
                         (ptrdiff_t)source->width * channels;
    for (int k = 0; k < 4; k++) {
        from[k] = source->bytes + (row + k < high ? row + k : high - 1) * source->stride;
        if (end - from[k] < touched)
            from[k] = memcpy(tail + k * touched, from[k], (size_t)(end - from[k]));
    }
}

/* As `along`, for three channels. */
AVX2 static void along_rgb(const Plane *source, const Axis *x, const int32_t *pairs, int out,
                           int low, int high, uint8_t *made, ptrdiff_t made_stride,
                           ptrdiff_t touched, uint8_t *tail)
{
    /* Of 16 bytes the first four pixels: red of the first and second, green of both, blue of both,
     * and in the upper half the same of the third and fourth. */
    const __m256i pick = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
                                          6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i uppers = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i lowers = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
    const __m256i half = _mm256_setr_epi32(ROUND, ROUND, ROUND, ROUND, 0, 0, 0, 0);
    for (int row = low; row < high; row += 4, made += 4 * made_stride) {
        const uint8_t *from[4];
        four_rows(source, 3, row, high, touched, tail, from);
        const __m128i *by = (const __m128i *)pairs;
        for (int at = 0; at < out; at++) {
            __m256i upper[4], lower[4];
            for (int k = 0; k < 4; k++)
                upper[k] = _mm256_setzero_si256(), lower[k] = half;
            ptrdiff_t place = (ptrdiff_t)x->first[at] * 3;
            for (int tap = 0; tap < x->taps; tap += 4, place += 12) {
                __m256i weights = _mm256_broadcastsi128_si256(_mm_loadu_si128(by++));
                __m256i by_upper = _mm256_permutevar8x32_epi32(weights, uppers);
                __m256i by_lower = _mm256_permutevar8x32_epi32(weights, lowers);
                for (int k = 0; k < 4; k++) {
                    __m128i five = _mm_loadu_si128((const __m128i *)(from[k] + place));
                    __m256i four = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(five), pick);
                    upper[k] = _mm256_add_epi32(upper[k], _mm256_madd_epi16(four, by_upper));
                    lower[k] = _mm256_add_epi32(lower[k], _mm256_madd_epi16(four, by_lower));
                }
            }
            __m256i sums[4];
            for (int k = 0; k < 4; k++)
                sums[k] = _mm256_add_epi32(_mm256_slli_epi32(upper[k], HALF), lower[k]);
            for (int k = 0; k < 4; k += 2) {
                __m256i ends = _mm256_permute2x128_si256(sums[k], sums[k + 1], 0x31);
                sums[k] = _mm256_permute2x128_si256(sums[k], sums[k + 1], 0x20);
                sums[k] = _mm256_srai_epi32(_mm256_add_epi32(sums[k], ends), BITS);
            }
            __m256i words = _mm256_packs_epi32(sums[0], sums[2]);
            uint32_t colours[8]; /* a row's fourth byte becomes the next pixel's first */
            _mm256_storeu_si256((__m256i *)colours, _mm256_packus_epi16(words, words));
            memcpy(made + 3 * at, colours + 0, 4);
            memcpy(made + 3 * at + made_stride, colours + 4, 4);
            memcpy(made + 3 * at + 2 * made_stride, colours + 1, 4);
            memcpy(made + 3 * at + 3 * made_stride, colours + 5, 4);
        }
    }
}

/* As `along`, for one channel. */
AVX2 static void along_grey(const Plane *source, const Axis *x, const int32_t *pairs, int out,
                            int low, int high, uint8_t *made, ptrdiff_t made_stride,
                            ptrdiff_t touched, uint8_t *tail)
{
    const __m256i half = _mm256_setr_epi32(ROUND, 0, ROUND, 0, ROUND, 0, ROUND, 0);
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    for (int row = low; row < high; row += 4, made += 4 * made_stride) {
        const uint8_t *from[4];
        four_rows(source, 1, row, high, touched, tail, from);
        const int32_t *by = pairs;
        for (int at = 0; at < out; at++) {
            __m256i upper = _mm256_setzero_si256(), lower = half;
            ptrdiff_t place = x->first[at];
            for (int tap = 0; tap < x->taps; tap += 4, place += 4, by += 4) {
                int32_t four[4]; /* values of each row */
                for (int k = 0; k < 4; k++)
                    memcpy(four + k, from[k] + place, 4);
                __m256i values = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)four));
                int64_t weights[2];
                memcpy(weights, by, 16);
                __m256i by_upper = _mm256_set1_epi64x(weights[0]);
                __m256i by_lower = _mm256_set1_epi64x(weights[1]);
                upper = _mm256_add_epi32(upper, _mm256_madd_epi16(values, by_upper));
                lower = _mm256_add_epi32(lower, _mm256_madd_epi16(values, by_lower));
            }
            __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(upper, HALF), lower);
            sums = _mm256_add_epi32(sums, _mm256_srli_epi64(sums, 32));
            sums = _mm256_permutevar8x32_epi32(_mm256_srai_epi32(sums, BITS), even);
            __m256i words = _mm256_packs_epi32(sums, sums);
            uint8_t greys[32];
            _mm256_storeu_si256((__m256i *)greys, _mm256_packus_epi16(words, words));
            for (int k = 0; k < 4; k++)
                made[k * made_stride + at] = greys[k];
        }
    }
}

/* As `down`; reads OVER bytes behind a row, and a row behind the last one. */
AVX2 static void down_avx2(const uint8_t *made, ptrdiff_t made_stride, int values, int rows,
                           const Axis *y, int out, int low, uint8_t *to, ptrdiff_t to_stride)
{
    const __m256i half = _mm256_set1_epi32(ROUND);
    for (int at = 0; at < out; at++, to += to_stride) {
        const int32_t *weights = y->weights + (size_t)at * y->taps;
        int first = y->first[at] - low;
        int count = rows - first < y->taps ? rows - first : y->taps;
        for (int x = 0; x < values; x += 16) {
            __m256i upper[2], lower[2];
            upper[0] = upper[1] = lower[0] = lower[1] = _mm256_setzero_si256();
            const uint8_t *from = made + first * made_stride + x;
            for (int tap = 0; tap < count; tap += 2, from += 2 * made_stride) {
                /* The odd one out is weighed with 0: taps are a multiple of four. */
                int32_t a = weights[tap], b = weights[tap + 1];
                __m256i by_upper = _mm256_set1_epi32(uppers_of(a, b));
                __m256i by_lower = _mm256_set1_epi32(lowers_of(a, b));
                __m256i this = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)from));
                __m256i next = _mm256_cvtepu8_epi16(
                    _mm_loadu_si128((const __m128i *)(from + made_stride)));
                __m256i pairs[2] = {_mm256_unpacklo_epi16(this, next),
                                    _mm256_unpackhi_epi16(this, next)};
                for (int k = 0; k < 2; k++) {
                    upper[k] = _mm256_add_epi32(upper[k], _mm256_madd_epi16(pairs[k], by_upper));
                    lower[k] = _mm256_add_epi32(lower[k], _mm256_madd_epi16(pairs[k], by_lower));
                }
            }
            __m256i sums[2];
            for (int k = 0; k < 2; k++) {
                __m256i both = _mm256_add_epi32(_mm256_slli_epi32(upper[k], HALF), lower[k]);
                sums[k] = _mm256_srai_epi32(_mm256_add_epi32(both, half), BITS);
            }
            __m256i words = _mm256_packs_epi32(sums[0], sums[1]);
            __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words),
                                             _mm256_extracti128_si256(words, 1));
            if (values - x >= 16)
                _mm_storeu_si128((__m128i *)(to + x), bytes);
            else {
                uint8_t last[16];
                _mm_storeu_si128((__m128i *)last, bytes);
                memcpy(to + x, last, values - x);
            }
        }
    }
}
#endif

/* Scales the box (left, top, right, bottom) of `source` into `out`, both rows of 8-bit values with
 * one or three `channels` to a pixel. Returns 0, or 1 where memory did not suffice.
 * `portable`: without AVX2. */
int lancemill_resample(const uint8_t *source, ptrdiff_t source_stride, int width, int height,
                       int channels, float left, float top, float right, float bottom, uint8_t *out,
                       ptrdiff_t out_stride, int out_width, int out_height, int portable)
{
    Plane plane = {source, source_stride, width, height};
    Axis x = {0}, y = {0};
    uint8_t *made = NULL, *tail = NULL;
    int32_t *pairs = NULL, *sums = NULL;
    int failed = 1;
    if (!axis_of(&x, width, left, right, out_width) || !axis_of(&y, height, top, bottom, out_height))
        goto done;

    /* Only the rows that the second direction reads are made by the first. */
    int low = y.lowest, high = y.highest + y.taps;
    high = high < height ? high : height;
    int values = out_width * channels;
    ptrdiff_t made_stride = (ptrdiff_t)values + OVER;
    made = room((size_t)(high - low) + 4, made_stride);
    if (!made)
        goto done;
#if HAS_AVX2
    if (!portable && has_avx2()) {
        ptrdiff_t touched = ((ptrdiff_t)x.highest + x.taps) * channels + OVER;
        pairs = pairs_of(&x, out_width);
        tail = room(4, touched);
        if (!pairs || !tail)
            goto done;
        (channels == 3 ? along_rgb : along_grey)(&plane, &x, pairs, out_width, low, high, made,
                                                 made_stride, touched, tail);
        down_avx2(made, made_stride, values, high - low, &y, out_height, low, out, out_stride);
        failed = 0;
        goto done;
    }
#endif
    (void)portable;
    sums = room(values, sizeof *sums);
    if (!sums)
        goto done;
    along(&plane, channels, &x, out_width, low, high, made, made_stride);
    down(made, made_stride, values, high - low, &y, out_height, low, out, out_stride, sums);
    failed = 0;
done:
    free(sums);
    free(pairs);
    free(tail);
    free(made);
    axis_free(&y);
    axis_free(&x);
    return failed;
}
