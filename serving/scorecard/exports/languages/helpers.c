/* The helpers of an exported C file, which takes those that its model needs from below the line. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What an exported file defines for its model. */
typedef unsigned short slot;

struct word {
    const char *text;
    size_t size;
};

enum { TRIM = 1, MISSING_MASK = 0, REASON_COUNT = 8 };

enum reason { REQUIRED, INFINITE, FRACTION, NO_TRUTH, UNKNOWN, UNUSABLE, TOO_LARGE, UNPREDICTABLE };

extern const double EDGES[], KEYS[], RESULTS[], PIECES[];
extern const struct word MISSING[];
extern const slot MISSING_SLOTS[];
int status_of(int input, enum reason reason);

/* -------------------------------------------------------------------------------------------------------------- */

/* The first of a row's refusals, by the turn at which it would be met column by column. */
struct fault {
    int turn, status;
};

static void note(struct fault *fault, int turn, int input, enum reason reason)
{
    if (fault->status == 0 || turn < fault->turn) {
        fault->turn = turn;
        fault->status = status_of(input, reason);
    }
}

static int all_finite(const double *values, int count)
{
    int odd = 0;
    for (int i = 0; i < count; i++) odd |= !(values[i] - values[i] == 0.0); /* it is NaN for NaN and infinity */
    return !odd;
}

enum { READ = 1, REQUIRE = 2, WHOLE = 4, TRUTH = 8 };
/* Notes why a number cannot be read by these rules, where it cannot. */
static void read_number(struct fault *fault, double x, int rules, int turn, int input)
{
    if (!(rules & READ)) return;
    if (isnan(x)) {
        if (rules & REQUIRE) note(fault, turn, input, REQUIRED);
    } else if (rules & TRUTH) {
        if (x != 0.0 && x != 1.0) note(fault, turn, input, NO_TRUTH);
    } else if (isinf(x)) {
        note(fault, turn, input, INFINITE);
    } else if ((rules & WHOLE) && fabs(x) < 4503599627370496.0 && x != (double)(long long)x) { /* 2 to the power 52 */
        note(fault, turn, input, FRACTION);
    }
}

/* How many bytes of white space, as Python's str.strip removes it, a text of at least one byte begins with. */
static size_t space(const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80) return at[0] == ' ' || (at[0] >= 0x09 && at[0] <= 0x0D) || (at[0] >= 0x1C && at[0] <= 0x1F);
    if (at[0] == 0xC2) return size >= 2 && (at[1] == 0x85 || at[1] == 0xA0) ? 2 : 0;
    if (size < 3) return 0;
    if (at[0] == 0xE1) return at[1] == 0x9A && at[2] == 0x80 ? 3 : 0;
    if (at[0] == 0xE3) return at[1] == 0x80 && at[2] == 0x80 ? 3 : 0;
    if (at[0] != 0xE2) return 0;
    if (at[1] == 0x81) return at[2] == 0x9F ? 3 : 0;
    if (at[1] != 0x80) return 0;
    return (at[2] >= 0x80 && at[2] <= 0x8A) || at[2] == 0xA8 || at[2] == 0xA9 || at[2] == 0xAF ? 3 : 0;
}

static int is_plain(char letter)
{
    return letter > ' ' && letter < 0x7F;
}

static struct word trimmed(const char *text)
{
    struct word found = {text, strlen(text)};
    size_t bytes, step;
    if (!TRIM) return found; /* the model was trained on text as it stands */
    if (found.size > 0 && is_plain(text[0]) && is_plain(text[found.size - 1])) return found;
    while (found.size > 0 && (bytes = space(found.text, found.size)) > 0) {
        found.text += bytes;
        found.size -= bytes;
    }
    for (step = 1; step <= 3 && step <= found.size; step++) {
        if (space(found.text + found.size - step, step) == step) {
            found.size -= step;
            step = 0;
        }
    }
    return found;
}

/* The place of a word among others, or -1. A slot holds one more than a place: the slot of the hash, or a later one. */
static int find(const struct word *words, const slot *slots, uint32_t mask, struct word word)
{
    uint32_t hash = 2166136261u; /* of Fowler, Noll and Vo: FNV-1a */
    for (size_t i = 0; i < word.size; i++) hash = (hash ^ (unsigned char)word.text[i]) * 16777619u;
    for (hash ^= hash >> 15; slots[hash & mask] != 0; hash++) {
        const int place = (int)slots[hash & mask] - 1;
        if (words[place].size == word.size && memcmp(words[place].text, word.text, word.size) == 0) return place;
    }
    return -1;
}

/* The place of a text among the words known of its column; their number where it is missing, one more for another. */
static int read_text(const char *text, const struct word *words, int count, const slot *slots, uint32_t mask)
{
    struct word word;
    int place;
    if (text == NULL) return count;
    word = trimmed(text);
    place = find(words, slots, mask, word);
    if (place >= 0) return place;
    return find(MISSING, MISSING_SLOTS, MISSING_MASK, word) >= 0 ? count : count + 1;
}

static int place_of(const double *keys, int count, double x)
{
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (keys[middle] < x) low = middle + 1;
        else high = middle;
    }
    return low < count && keys[low] == x ? low : -1;
}

static int known(const double *keys, int count, double x)
{
    return place_of(keys, count, x) >= 0;
}

static double look_up(int start, int count, double x, double otherwise)
{
    const int place = place_of(KEYS + start, count, x);
    return place < 0 ? otherwise : RESULTS[start + place];
}

/* How many edges are not above x. */
static double bin(const double *edges, int count, double x)
{
    int low = 0, high = count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (x < edges[middle]) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* A polynomial of each interval between edges: its origin, then its coefficients, those of low powers first. */
static double piecewise(const double *edges, int count, const double *pieces, int width, double x)
{
    const double *piece = pieces + (size_t)bin(edges, count, x) * (size_t)width;
    double found = 0.0;
    for (int i = width - 1; i > 0; i--) found = found * (x - piece[0]) + piece[i];
    return found;
}

static double sign(double x)
{
    return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
}

static double yeo_johnson(double x, double lambda)
{
    if (!isfinite(x)) return x;
    if (x >= 0.0) {
        if (fabs(lambda) < 2.220446049250313e-16) return log1p(x);
        return expm1(lambda * log1p(x)) / lambda;
    }
    if (fabs(lambda - 2.0) > 2.220446049250313e-16) return -expm1((2.0 - lambda) * log1p(-x)) / (2.0 - lambda);
    return -log1p(-x);
}

static double box_cox(double x, double lambda)
{
    if (!isfinite(x)) return x;
    if (x <= 0.0) return INFINITY;
    if (fabs(lambda) < 1e-19) return log(x);
    return expm1(lambda * log(x)) / lambda;
}

static double inverse_yeo_johnson(double x, double lambda)
{
    if (x >= 0.0) {
        if (fabs(lambda) < 2.220446049250313e-16) return exp(x) - 1.0;
        return pow(x * lambda + 1.0, 1.0 / lambda) - 1.0;
    }
    if (fabs(lambda - 2.0) > 2.220446049250313e-16) return 1.0 - pow(-(2.0 - lambda) * x + 1.0, 1.0 / (2.0 - lambda));
    return 1.0 - exp(-x);
}

static double inverse_box_cox(double x, double lambda)
{
    return lambda == 0.0 ? exp(x) : exp(log1p(lambda * x) / lambda);
}

/* A sum of products, in four parts: faster than one after another, and rounded less. */
static double weighted(const double *values, const double *weights, size_t count, size_t step)
{
    const size_t whole = count - count % 4;
    double parts[4] = {0.0, 0.0, 0.0, 0.0};
    for (size_t i = 0; i < whole; i += 4) {
        for (size_t j = 0; j < 4; j++) parts[j] += values[i + j] * weights[(i + j) * step];
    }
    for (size_t i = whole; i < count; i++) parts[0] += values[i] * weights[i * step];
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

/* A layer of the network, before its activation; 0 where a unit is not finite. */
static int layer(
    const double *from, size_t width, const double *weights, const double *intercepts, size_t units, double *to
)
{
    for (size_t unit = 0; unit < units; unit++) {
        to[unit] = weighted(from, weights + unit * width, width, 1) + intercepts[unit];
        if (!isfinite(to[unit])) return 0;
    }
    return 1;
}

static double logistic(double z)
{
    const double e = exp(-fabs(z));
    return z >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

static double relu(double x)
{
    return x > 0.0 ? x : 0.0;
}

static int place_of_largest(const double *values, int count)
{
    int found = 0;
    for (int i = 1; i < count; i++) {
        if (values[i] > values[found]) found = i;
    }
    return found;
}

static void binary(const double *scores, double *probabilities)
{
    probabilities[1] = logistic(scores[0]);
    probabilities[0] = 1.0 - probabilities[1];
}

/* Shifted by the largest so that no power overflows. */
static void softmax(const double *scores, double *probabilities, int count)
{
    const double top = scores[place_of_largest(scores, count)];
    double total = 0.0;
    for (int k = 0; k < count; k++) total += probabilities[k] = exp(scores[k] - top);
    for (int k = 0; k < count; k++) probabilities[k] /= total;
}

static void complement(const double *found, double *probabilities)
{
    probabilities[1] = found[0];
    probabilities[0] = 1.0 - found[0];
}

static void shares(const double *found, double *probabilities, int count)
{
    double total = 0.0;
    for (int k = 0; k < count; k++) total += found[k];
    for (int k = 0; k < count; k++) probabilities[k] = total > 0.0 ? found[k] / total : 1.0 / count;
}

static void normalised(const double *scores, double *probabilities, int count)
{
    double total = 0.0;
    for (int k = 0; k < count; k++) total += probabilities[k] = logistic(scores[k]);
    for (int k = 0; k < count; k++) probabilities[k] = total > 0.0 ? probabilities[k] / total : 1.0 / count;
}
