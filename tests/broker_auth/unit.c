/* The plugin's parts without a broker. */
#include <stdlib.h>

#include "check.h"

unsigned checks, failures;

int main(void)
{
    test_strings();
    test_storage();
    test_policy();
    printf("%u checks, %u failures\n", checks, failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
