/* Reset vector to row(): copies the image to RAM at 1 MiB and runs it there, flat, in 32-bit protected mode. */

	.section .boot, "ax"
	.code16
	.globl boot
boot:
	cli
	cld
	inb $0x92, %al			/* A20, and not the reset bit beside it */
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92
	movw $gdt_pointer_offset, %bx
	lgdtl %cs:(%bx)
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $protected

	.code32
protected:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $0xf0000, %esi
	movl $0x100000, %edi
	movl $(0xff00 / 4), %ecx
	rep movsl
	movl $0x90000, %esp
	movl $run, %eax			/* in RAM */
	jmp *%eax

	.balign 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff	/* 08: code, flat 4 GiB */
	.quad 0x00cf93000000ffff	/* 10: data, flat 4 GiB */
gdt_end:
	.globl gdt_pointer
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.section .reset, "ax"
	.code16
	.byte 0xea			/* jmp f000:boot */
	.word boot_offset
	.word 0xf000
