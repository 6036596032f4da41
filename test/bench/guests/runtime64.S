/* Reset vector to row(): copies the image to RAM at 1 MiB and runs it there in 64-bit mode, 1 GiB mapped where it lies. */

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
	ljmpl $0x18, $protected

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

	movl $0x70000, %edi		/* PML4, page-directory pointers, page directory */
	xorl %eax, %eax
	movl $(2 * 1024), %ecx
	rep stosl
	movl $0x71003, 0x70000
	movl $0x72003, 0x71000
	movl $0x83, %eax		/* 512 pages of 2 MiB */
1:	stosl
	movl $0, (%edi)
	addl $4, %edi
	addl $0x200000, %eax
	cmpl $0x40000083, %eax
	jne 1b
	movl $0x620, %eax		/* PAE, SSE */
	movl %eax, %cr4
	movl $0x70000, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orb $1, %ah			/* LME */
	wrmsr
	movl %cr0, %eax
	orl $0x80000002, %eax		/* paging, MP */
	andb $0xfb, %al			/* not EM */
	movl %eax, %cr0
	ljmpl $8, $run			/* in RAM */

	.balign 8
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 10: data, flat 4 GiB */
	.quad 0x00cf9b000000ffff	/* 18: 32-bit code, flat 4 GiB */
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
