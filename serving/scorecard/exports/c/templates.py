"""The parts of a C file around the model; what belongs into them is named between @s."""

HEAD = """/*
 * @title@ in one C99 file.
 *
 * It allocates nothing, reads and writes nothing, and keeps no state, so that threads may share it. A call takes about
 * @stack@ bytes of stack. It compiles as C++, too.
 *
 *   cc -std=c99 -O3 -c this_file.c
 *
 * Link it with -lm. A file that calls it takes the declarations alone:
 *
 *   #include <stdio.h>
 *   #define @NAME@_HEADER
 *   #include "this_file.c"
 *
 *   int main(void)
 *   {
@usage@
 *       return status;
 *   }
 *
 * A number is NAN where it is missing, a text NULL; yes and no are 1 and 0. Text is UTF-8. A number or a boolean among
 * texts is given as its text ("3", "true"), a number that is written as text as the number, whatever its decimal and
 * thousands marks. A status is 0, or says for which column a row was refused and why, and then no answer is written.
 * Made from the scorecard @digest@, and answers as it does.
 */
"""

INCLUDES = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || defined(_M_FP_FAST) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "missing values are NaN, which -ffast-math and the like take away"
#endif
"""

REASONS = """
enum reason {
@reasons@};

static const char *const REASONS[] = {
@texts@};

static int status_of(int input, enum reason reason)
{
    return 1 + input * REASON_COUNT + (int)reason;
}

const char *@name@_column(int status)
{
    const int input = (status - 1) / REASON_COUNT;
    return status > 0 && input < @count@ ? @name@_names[input] : "";
}

const char *@name@_reason(int status)
{
    return status > 0 ? REASONS[(status - 1) % REASON_COUNT] : "";
}
"""

WORD = """
struct word {
    const char *text;
    size_t size;
};
"""
