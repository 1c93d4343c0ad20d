/*
 * The context switch on x86-64 (System V ABI). Contract: context.h.
 *
 * What a suspended context keeps on its stack, from its saved pointer upwards (context_make.c lays
 * out the same):
 *
 *      0 r15   8 r14   16 r13   24 r12   32 rbx   40 rbp   48 return address
 *
 * The other registers are the caller's to save, as at any function call.
 */
#if defined(__x86_64__) && defined(__LP64__) && !defined(WEFT_SWITCH_UCONTEXT)

        .text

/* void weft__switch(void **save [rdi], void *load [rsi]) */
        .globl  weft__switch
        .hidden weft__switch
        .type   weft__switch, @function
        .p2align 4
weft__switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0

        /* Both stacks have the same layout here, so the unwind rules hold on either side. */
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp

        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        /*
         * Not `pop; jmp`: the CPU predicts returns by the calls it has seen, and a jump would leave
         * that record one call too long, so that every return from here up is mispredicted. With
         * `ret` they are right as far as both contexts came here through the same functions, which
         * is the rule (measured, fiber to fiber through three calls: 3.8 ns against 24).
         */
        ret
        .cfi_endproc
        .size   weft__switch, . - weft__switch

/*
 * The caller that a new context's entry function seems to have: its return address is the label
 * below, and the undefined rip tells unwinders that there is nobody further up. (The address looked
 * up is one less, so the nop is in here as well.) The `ret` above goes to the entry function itself;
 * a `call` to it from here would again leave the CPU's record one call too long.
 */
        .p2align 4
        .type   weft__context_bottom, @function
weft__context_bottom:
        .cfi_startproc
        .cfi_undefined %rip
        nop
        .globl  weft__context_end
        .hidden weft__context_end
weft__context_end:
        ud2
        .cfi_endproc
        .size   weft__context_bottom, . - weft__context_bottom

/*
 * This code works under indirect branch tracking (IBT): nothing in it is reached by an indirect jump. It must not claim SHSTK: a shadow stack keeps a second copy of every return address
 * and stays where it is when rsp moves to another stack, so the `ret` of the switch would fault.
 * Without the claim the linker clears SHSTK for the whole program and the system leaves it off.
 */
        .section .note.gnu.property, "a", @note
        .p2align 3
        .long   4                       /* size of the name */
        .long   16                      /* size of the description */
        .long   5                       /* NT_GNU_PROPERTY_TYPE_0 */
        .asciz  "GNU"
        .long   0xc0000002              /* GNU_PROPERTY_X86_FEATURE_1_AND */
        .long   4
        .long   1                       /* IBT, not SHSTK (2) */
        .long   0

#endif

        .section .note.GNU-stack, "", %progbits
