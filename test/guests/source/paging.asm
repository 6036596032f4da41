; Paging: error codes, CR2, accessed and dirty bits, WP, large pages, global pages, PAE, faults in the middle of things.
%include "harness.inc"

DIRECTORY	equ 0x100000
LOW_TABLE	equ 0x101000			; identity, linear 0..3fffff
TEST_TABLE	equ 0x102000			; linear 400000..
FRAMES		equ 0x200000			; physical pages behind it
TESTS		equ 0x400000
LARGE		equ 0x800000			; one 4 MiB page, physical 0
PDPT		equ 0x110000
PAE_LOW		equ 0x111000			; page directory of 0..3fffffff
PAE_TABLE	equ 0x112000			; linear 400000..5fffff

P		equ 1
W		equ 2
U		equ 4
A		equ 0x20
D		equ 0x40
PS		equ 0x80
G		equ 0x100

CR0_PG		equ 0x80000000
CR0_WP		equ 0x10000
CR4_PSE		equ 0x10
CR4_PAE		equ 0x20
CR4_PGE		equ 0x80

FRESH		equ FIRST_FREE

; Sets the entry of test page n and forgets what was known of it: page, flags. The frame has the same number.
%macro page 2
	mov dword [TEST_TABLE + (%1) * 4], FRAMES + (%1) * 0x1000 + (%2)
	invlpg [TESTS + (%1) * 0x1000]
%endmacro

%macro show_page 1
	mov eax, [TEST_TABLE + (%1) * 4]
	and eax, 0xfff
	show "pte", eax
%endmacro

%macro end_fault 0
	end_probe
	mov eax, cr2
	show "cr2", eax
%endmacro

%macro probe3 1+
	probe %1
	enter_ring3 %$user
%$user:
	mov var(start), %$begin
%$begin:
%endmacro

%macro end_fault3 0
	int 0x40
	end_fault
%endmacro

%macro set_cr0 1
	mov eax, cr0
	or eax, %1
	mov cr0, eax
%endmacro

%macro clear_cr0 1
	mov eax, cr0
	and eax, ~(%1)
	mov cr0, eax
%endmacro

%macro flip_cr4 1
	mov eax, cr4
	xor eax, %1
	mov cr4, eax
%endmacro

main:
	mov edi, DIRECTORY
	mov ecx, 0x3000 / 4
	xor eax, eax
	rep stosd
	mov dword [DIRECTORY], LOW_TABLE + P + W + U
	mov dword [DIRECTORY + 4], TEST_TABLE + P + W + U
	mov dword [DIRECTORY + 8], P + W + U + PS
	mov eax, P + W + U
	mov edi, LOW_TABLE
	mov ecx, 1024
.low:	stosd
	add eax, 0x1000
	loop .low
	xor ecx, ecx
.frames:
	mov eax, ecx				; each frame begins with its number
	shl eax, 12
	mov [FRAMES + eax], ecx
	inc ecx
	cmp ecx, 64
	jb .frames
	flip_cr4 CR4_PSE
	mov eax, DIRECTORY
	mov cr3, eax
	set_cr0 CR0_PG
	call access_bits
	call rights
	call crossings
	call structures
	call large
	call globals
	call pae
	ret

access_bits:
	page 0, P + W
	probe "read sets A"
	mov eax, [TESTS]
	end_probe
	show_page 0
	and byte [DIRECTORY + 4], ~A
	page 0, P + W
	probe "store sets A and D"
	mov [TESTS], eax
	end_probe
	show_page 0
	mov eax, [DIRECTORY + 4]
	and eax, 0xfff
	show "pde", eax
	mov dword [FRAMES], 0
	page 0, P + W + A
	probe "read, then store sets D"
	mov eax, [TESTS]
	mov [TESTS], eax
	end_probe
	show_page 0
	page 1, P
	set_cr0 CR0_WP
	probe "a store that faults sets neither"
	mov [TESTS + 0x1000], eax
	end_fault
	show_page 1
	clear_cr0 CR0_WP
	page 1, P
	probe "store to a readonly page without WP"
	mov [TESTS + 0x1000], eax
	end_probe
	show_page 1
	mov dword [FRAMES + 0x1000], 1
	ret

rights:
	page 2, 0
	probe "ring 0 reads an absent page"
	mov eax, [TESTS + 0x2123]
	end_fault
	probe "ring 0 stores to an absent page"
	mov [TESTS + 0x2123], eax
	end_fault
	probe "ring 0 jumps to an absent page"
	mov var(start), TESTS + 0x2000
	mov eax, TESTS + 0x2000
	jmp eax
	end_fault
	probe "absent page directory entry"
	mov eax, [0xc00004]
	end_fault
	probe3 "ring 3 reads an absent page"
	mov eax, [TESTS + 0x2123]
	end_fault3
	probe3 "ring 3 stores to an absent page"
	mov [TESTS + 0x2123], eax
	end_fault3
	page 3, P + W
	probe3 "ring 3 reads a supervisor page"
	mov eax, [TESTS + 0x3000]
	end_fault3
	probe3 "ring 3 stores to a supervisor page"
	mov [TESTS + 0x3000], eax
	end_fault3
	show_page 3
	page 4, P + U
	probe3 "ring 3 reads a readonly page"
	mov eax, [TESTS + 0x4000]
	int 0x40
	end_probe
	show "eax", var(eax)
	probe3 "ring 3 stores to a readonly page"
	mov [TESTS + 0x4000], eax
	end_fault3
	page 5, P + W + U
	probe3 "ring 3 stores to its page"
	mov dword [TESTS + 0x5000], 0x55
	int 0x40
	end_probe
	show_page 5
	mov dword [FRAMES + 0x5000], 5
	and byte [DIRECTORY + 4], ~W
	invlpg [TESTS + 0x5000]
	probe3 "ring 3 stores where the directory is readonly"
	mov dword [TESTS + 0x5000], 0x55
	end_fault3
	and byte [DIRECTORY + 4], ~U
	or byte [DIRECTORY + 4], W
	invlpg [TESTS + 0x5000]
	probe3 "ring 3 reads where the directory is supervisor"
	mov eax, [TESTS + 0x5000]
	end_fault3
	or byte [DIRECTORY + 4], U
	invlpg [TESTS + 0x5000]
	set_cr0 CR0_WP
	page 6, P
	probe "CMPXCHG of another value to a readonly page with WP"
	mov eax, 0x77
	cmpxchg [TESTS + 0x6000], ecx
	end_fault
	show "eax", var(eax)
	probe "BT of a readonly page with WP"
	bt dword [TESTS + 0x6000], 1
	end_probe
	probe "BTS of a readonly page with WP"
	bts dword [TESTS + 0x6000], 1
	end_fault
	clear_cr0 CR0_WP
	ret

crossings:
	page 8, P + W
	page 9, 0
	mov dword [FRAMES + 0x8ffc], 0x88888888
	probe "store across into an absent page"
	mov dword [TESTS + 0x8ffe], 0
	end_fault
	show "unchanged", dword [FRAMES + 0x8ffc]
	probe "read across into an absent page"
	mov eax, [TESTS + 0x8ffd]
	end_fault
	page 8, 0
	page 9, 0
	probe "read across two absent pages"
	mov eax, [TESTS + 0x8ffd]
	end_fault
	page 8, P + W
	mov dword [FRAMES + 0x8ffc], 0xb8909090	; nop; nop; nop; mov eax, imm32
	probe "instruction across into an absent page"
	mov var(start), TESTS + 0x8fff
	mov eax, TESTS + 0x8ffc
	jmp eax
	end_fault
	probe "REP MOVSD into an absent page"
	mov esi, FREE
	mov edi, TESTS + 0x8ff8
	mov ecx, 5
	rep movsd
	end_fault
	show "ecx", var(ecx)
	sub var(edi), TESTS
	show "edi", var(edi)
	probe "REP STOSB downwards into an absent page"
	page 7, 0
	std
	mov edi, TESTS + 0x8003
	mov ecx, 9
	rep stosb
	end_fault
	show "ecx", var(ecx)
	page 7, 0
	page 8, P + W + U
	probe3 "ring 3 PUSHA into an absent page"
	mov esp, TESTS + 0x8010
	pushad
	end_fault3
	sub var(old_esp), TESTS
	show "esp", var(old_esp)
	probe3 "ring 3 CALL with its stack in an absent page"
	mov esp, TESTS + 0x8000
	call $
	end_fault3
	sub var(old_esp), TESTS
	show "esp", var(old_esp)
	probe3 "ring 3 POP to an absent page"
	mov esp, TESTS + 0x8800
	pop dword [TESTS + 0x9000]
	end_fault3
	sub var(old_esp), TESTS
	show "esp", var(old_esp)
	ret

; Tables the processor reads by itself.
structures:
	descriptor FRESH, 0, 0xfffff, 0x92, 0xc
	and byte [LOW_TABLE + (GDT >> 12) * 4], ~(U + W)
	invlpg [GDT]
	probe3 "ring 3 uses a GDT in a supervisor page"
	mov eax, DATA3
	mov fs, eax
	int 0x40
	end_probe
	set_cr0 CR0_WP
	probe "accessed bit in a readonly page with WP"
	mov eax, FRESH
	mov fs, eax
	end_probe
	mov eax, cr2
	and eax, ~7				; how much of a descriptor is written is the processor's own affair
	show "cr2", eax
	clear_cr0 CR0_WP
	probe "accessed bit in a readonly page without WP"
	mov eax, FRESH
	mov fs, eax
	end_probe
	movzx eax, byte [GDT + FRESH + 5]
	show "rights", eax
	or byte [LOW_TABLE + (GDT >> 12) * 4], U + W
	invlpg [GDT]
	page 10, 0
	lidt [.absent_idt]
	mov eax, [IDT + 14 * 8]			; only #PF can be delivered
	mov edx, [IDT + 14 * 8 + 4]
	mov [FRAMES + 11 * 0x1000], eax
	mov [FRAMES + 11 * 0x1000 + 4], edx
	page 11, P + W
	probe "INT whose gate is in an absent page"
	int 5
	end_fault
	probe "INT whose gate is empty, #GP's gate in an absent page"
	int 0x10
	end_fault
	lidt [idt_pointer]
	ret
.absent_idt:
	dw 0x1ff
	dd TESTS + 11 * 0x1000 - 14 * 8		; gates 0-13 lie in page 10

large:
	mov dword [0x300000], 0x12345678
	probe "4 MiB page"
	mov eax, [LARGE + 0x300000]
	mov dword [LARGE + 0x300004], 1
	int 0x40
	end_probe
	show "eax", var(eax)
	mov eax, [DIRECTORY + 8]
	show "pde", eax
	and byte [DIRECTORY + 8], ~U
	mov eax, cr3
	mov cr3, eax
	probe3 "ring 3 reads a supervisor 4 MiB page"
	mov eax, [LARGE + 0x345678]
	end_fault3
	or dword [DIRECTORY + 8], 1 << 21	; reserved
	mov eax, cr3
	mov cr3, eax
	probe "reserved bit in a 4 MiB page"
	mov eax, [LARGE + 0x10]
	end_fault
	and dword [DIRECTORY + 8], ~(1 << 21)
	mov dword [DIRECTORY + 12], TEST_TABLE + P + W + PS
	flip_cr4 CR4_PSE
	mov eax, cr3
	mov cr3, eax
	page 12, P + W
	probe "PS without CR4.PSE is ignored"
	mov eax, [0xc0c000]
	int 0x40
	end_probe
	show "eax", var(eax)
	flip_cr4 CR4_PSE
	mov dword [DIRECTORY + 12], 0
	ret

globals:
	flip_cr4 CR4_PGE
	page 16, P + W + G
	page 17, P + W
	mov eax, [TESTS + 0x10000]
	mov eax, [TESTS + 0x11000]
	mov dword [TEST_TABLE + 16 * 4], FRAMES + 0x20000 + P + W + G
	mov dword [TEST_TABLE + 17 * 4], FRAMES + 0x21000 + P + W
	probe "load of CR3 drops a page"
	mov eax, cr3
	mov cr3, eax
	mov ebx, [TESTS + 0x11000]
	int 0x40
	end_probe
	show "page", var(ebx)
	probe "INVLPG drops a global page"
	invlpg [TESTS + 0x10fff]
	mov ebx, [TESTS + 0x10000]
	int 0x40
	end_probe
	show "page", var(ebx)
	mov dword [TEST_TABLE + 16 * 4], FRAMES + 0x22000 + P + W + G
	probe "change of CR4.PGE drops global pages"
	flip_cr4 CR4_PGE
	mov ebx, [TESTS + 0x10000]
	int 0x40
	end_probe
	show "page", var(ebx)
	ret

; One page directory: 2 MiB pages 0-3fffff, a table for 400000-5fffff; then the same linear addresses as before.
%macro pae_page 3				; page, low dword of flags, high dword
	mov dword [PAE_TABLE + (%1) * 8], FRAMES + (%1) * 0x1000 + (%2)
	mov dword [PAE_TABLE + (%1) * 8 + 4], %3
	invlpg [TESTS + (%1) * 0x1000]
%endmacro

pae:
	clear_cr0 CR0_PG
	mov edi, PDPT
	mov ecx, 0x3000 / 4
	xor eax, eax
	rep stosd
	mov dword [PDPT], PAE_LOW + P
	mov dword [PAE_LOW], P + W + U + PS
	mov dword [PAE_LOW + 8], 0x200000 + P + W + U + PS
	mov dword [PAE_LOW + 16], PAE_TABLE + P + W + U
	flip_cr4 CR4_PAE
	mov eax, PDPT
	mov cr3, eax
	set_cr0 CR0_PG
	pae_page 20, P + W + U, 0
	probe "PAE page"
	mov eax, [TESTS + 0x14000]
	mov [TESTS + 0x14004], eax
	int 0x40
	end_probe
	show "eax", var(eax)
	mov eax, [PAE_TABLE + 20 * 8]
	show "pte", eax
	mov eax, [PAE_LOW + 8]
	show "2M", eax
	pae_page 21, 0, 0
	probe3 "ring 3 stores to an absent PAE page"
	mov [TESTS + 0x15000], eax
	end_fault3
	pae_page 22, P + W, 0x80000000
	probe "bit 63 without NXE is reserved"
	mov eax, [TESTS + 0x16000]
	end_fault
	pae_page 22, P + W + U, 0x00080000
	probe3 "ring 3 stores through a reserved address bit"
	mov [TESTS + 0x16000], eax
	end_fault3
	mov dword [PAE_LOW + 24], 0x600000 + 0x2000 + P + W + PS
	probe "reserved bit of a 2 MiB page"
	mov eax, [0x600000]
	end_fault
	probe "absent directory pointer"
	mov eax, [0x40000000]
	end_fault
	mov dword [PDPT + 8], PAE_LOW + P
	probe "directory pointers are read when CR3 is loaded"
	mov eax, cr3
	mov cr3, eax
	mov eax, [0x40414000]
	int 0x40
	end_probe
	show "eax", var(eax)
	mov dword [PDPT + 8], PAE_LOW + P + W
	probe "reserved bit in a directory pointer"
	mov eax, cr3
	mov cr3, eax
	end_probe
	mov dword [PDPT + 8], 0
	clear_cr0 CR0_PG
	flip_cr4 CR4_PAE
	ret

finish_image
