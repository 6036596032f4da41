/* A ROM of 64 KiB that goes from the reset vector to 32-bit protected mode and calls main with a stack in RAM. */
	.code16
	.section .text.start, "ax"
start:
	cli
	lgdtl	%cs:gdt_pointer - start
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $protected

	.code32
	.type	protected, @function
protected:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x8000, %esp
	xorl	%ebp, %ebp
	call	main
	xorb	%al, %al
	outb	%al, $0xf4
1:	hlt
	jmp	1b
	.size	protected, . - protected

	.balign	8
gdt:
	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt

	.code16
	.section .reset, "ax"
	ljmpw	$0xf000, $0
	.balign	16, 0
	.section .note.GNU-stack
