/*
 * The context switch on aarch64 (AAPCS64). Contract: context.h.
 *
 * What a suspended context keeps on its stack, from its saved pointer upwards (context_make.c lays
 * out the same):
 *
 *      0 x19..x28   80 x29 (fp)   88 x30 (lr)   96 d8..d15
 *
 * The other registers are the caller's to save, as at any function call.
 */
#if defined(__aarch64__) && defined(__LP64__) && !defined(WEFT_SWITCH_UCONTEXT)

#define FRAME 160

        .text

/* void weft__switch(void **save [x0], void *load [x1]) */
        .globl  weft__switch
        .hidden weft__switch
        .type   weft__switch, %function
        .p2align 4
weft__switch:
        .cfi_startproc
        hint    #34                     /* bti c, spelled so that old assemblers take it */
        sub     sp, sp, #FRAME
        .cfi_def_cfa_offset FRAME
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152

        /* Both stacks have the same layout here, so the unwind rules hold on either side. */
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1

        ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #FRAME
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        ret
        .cfi_endproc
        .size   weft__switch, . - weft__switch

/*
 * Where a new context starts, by the `ret` above: sp is a multiple of 16, fp is 0 and x19 holds the
 * function to call. The undefined lr tells unwinders that there is no caller.
 *
 * The nop is never executed. In a context that has not run yet, unwinders look up "return address
 * - 1", which must be in here and not in the function before.
 */
        .p2align 4
        .type   weft__context_bottom, %function
weft__context_bottom:
        .cfi_startproc
        .cfi_undefined x30
        nop
        .globl  weft__context_start
        .hidden weft__context_start
weft__context_start:
        blr     x19
        brk     #0
        .cfi_endproc
        .size   weft__context_bottom, . - weft__context_bottom

/*
 * This code works under branch target identification (BTI). It must not claim GCS, the guarded
 * control stack, which stays where it is when sp moves (see SHSTK in switch_x86_64.S); nor PAC,
 * since the return addresses saved here are not signed.
 */
        .section .note.gnu.property, "a", %note
        .p2align 3
        .long   4                       /* size of the name */
        .long   16                      /* size of the description */
        .long   5                       /* NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000000              /* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
        .long   4
        .long   1                       /* BTI, not PAC (2), not GCS (4) */
        .long   0

#endif

        .section .note.GNU-stack, "", %progbits
