/* SPDX-License-Identifier: MIT
 * Which kernels this CPU has, and the floating-point environment that they need. */
#include <fenv.h>
#include <string.h>

#include "base/buf.h"
#include "kernels/kernels.h"
#include "kernels/noise.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "idem supports little-endian machines only: GGUF files and digests are little-endian"
#endif

#if defined(__x86_64__)
#include <xmmintrin.h>
#else
const struct kern_ops *kern_ops_avx512(void)
{
    return NULL;
}
const struct kern_ops *kern_ops_avx2(void)
{
    return NULL;
}
const struct kern_noise_ops *kern_noise_avx2(void)
{
    return NULL;
}
#endif

void kern_thread_init(void)
{
    fesetround(FE_TONEAREST);
#if defined(__x86_64__)
    _mm_setcsr(0x1F80);                    /* round to nearest, no flushing, no traps */
#elif defined(__aarch64__)
    uint64_t fpcr = 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
#endif
}

const struct kern_ops *kern_select(const char *name, struct idem_err *err)
{
    const struct kern_ops *have[] = {kern_ops_avx512(), kern_ops_avx2(), kern_ops_sse41(),
                                     kern_ops_neon(), kern_ops_ref()};   /* widest first */
    struct buf list;
    buf_init(&list, 256);
    for (size_t i = 0; i < sizeof have / sizeof have[0]; i++) {
        if (!have[i])
            continue;
        if (strcmp(name, "auto") == 0 || strcmp(name, have[i]->name) == 0) {
            buf_release(&list);
            return have[i];
        }
        buf_addf(&list, "%s%s", list.len ? ", " : "", have[i]->name);
    }
    err_set(err, IDEM_ERR_UNSUPPORTED, "no '%s' kernels here: this build on this CPU has %s", name,
            list.data ? list.data : "none");
    buf_release(&list);
    return NULL;
}
