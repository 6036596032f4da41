; Hardware task switches: jumps, calls, gates, interrupts, IRET, 16-bit tasks, and what goes wrong in them.
%include "harness.inc"

TASK		equ FIRST_FREE			; 32-bit TSS at FREE
TASK16		equ FIRST_FREE + 8		; 16-bit TSS at FREE + 0x100
TASK_SHORT	equ FIRST_FREE + 16		; limit too small
TASK_ABSENT	equ FIRST_FREE + 24
TASK_GATE	equ FIRST_FREE + 32
TASK_GATE3	equ (FIRST_FREE + 40) | 3
ABSENT_DATA	equ FIRST_FREE + 48
ABSENT_CODE	equ FIRST_FREE + 56
GATE_TO_DATA	equ FIRST_FREE + 64
TASK3		equ (FIRST_FREE + 72) | 3	; the TSS at FREE, DPL 3
LDT		equ FIRST_FREE + 80
HANDLER		equ 0x800			; TSSs of the tasks that take #TS, #NP, #SS: 0x800, 0x880, 0x900
HANDLERS	equ FREE + 0x400		; 128 bytes each

NEW		equ FREE
NEW16		equ FREE + 0x100
TASK_STACK	equ 0xd000

BUSY		equ 2

%macro home 0					; back to the main task
	call go_home
%endmacro

go_home:
	descriptor MAIN_TSS, TSS, 0x2068, 0x89, 0
	descriptor TASK, NEW, 0x67, 0x89, 0
	descriptor TASK3, NEW, 0x67, 0xe9, 0
	descriptor TASK16, NEW16, 0x2b, 0x81, 0
	mov eax, MAIN_TSS
	ltr ax
	xor eax, eax
	lldt ax
	clts
	mov word [TSS], 0
	ret

; Prints the busy bits of the main and the new task and the back link.
show_links:
	movzx eax, byte [GDT + MAIN_TSS + 5]
	show "main", eax
	movzx eax, byte [GDT + TASK + 5]
	show "new", eax
	movzx eax, word [NEW]
	show "link", eax
	ret

; Fills the TSS at NEW; eax = EIP.
new_task:
	mov edi, NEW
	mov ecx, 26
	push eax
	xor eax, eax
	rep stosd
	pop eax
	mov [NEW + 32], eax
	mov dword [NEW + 36], 2
	mov dword [NEW + 40], 0xa0a0a0a0
	mov dword [NEW + 44], 0xc0c0c0c0
	mov dword [NEW + 52], 0xb0b0b0b0
	mov dword [NEW + 56], TASK_STACK
	mov dword [NEW + 60], 0xbbbbbbbb
	mov eax, DATA
	mov [NEW + 72], eax
	mov dword [NEW + 76], CODE
	mov [NEW + 80], eax
	mov [NEW + 84], eax
	mov dword [NEW + 4], STACK_INNER
	mov [NEW + 8], eax
	mov word [NEW + 102], 104
	ret

%macro task_at 1
	mov eax, %1
	call new_task
%endmacro

; Something in the new TSS is wrong: name, offset, value. The new task has begun when it faults, with segments that cannot
; be relied on; so tasks of their own take #TS, #NP and #SS.
%macro bad_field 3
	task_at finish
	mov word [NEW + %2], %3
	call handler_tasks
	probe %1
	jmp TASK:0
	end_probe
	show "vector", var(ecx)
	show "error", var(eax)
	show "tr", var(edx)
	mov eax, var(edx)
	movzx eax, word [HANDLERS - HANDLER + eax]
	show "link", eax
	mov eax, [NEW + 32]
	sub eax, finish
	show "eip", eax
	movzx eax, word [NEW + %2]
	show "field", eax
	home
%endmacro

finish:
	int 0x40

; Makes the tasks for #TS, #NP and #SS; ECX tells them apart.
handler_tasks:
	mov eax, .entry
	call new_handler
	mov dword [HANDLERS + 44], 10
	mov dword [HANDLERS + 0x80 + 44], 11
	mov dword [HANDLERS + 0x100 + 44], 12
	descriptor HANDLER, HANDLERS, 0x67, 0x89, 0
	descriptor HANDLER + 0x80, HANDLERS + 0x80, 0x67, 0x89, 0
	descriptor HANDLER + 0x100, HANDLERS + 0x100, 0x67, 0x89, 0
	gate IDT + 10 * 8, HANDLER, 0, 0x85, 0
	gate IDT + 11 * 8, HANDLER + 0x80, 0, 0x85, 0
	gate IDT + 12 * 8, HANDLER + 0x100, 0, 0x85, 0
	ret
.entry:	pop eax
	str edx
	and edx, 0xffff
	int 0x40

; Fills the three TSSs at HANDLERS; eax = EIP.
new_handler:
	push eax
	mov esi, NEW
	mov edi, FREE + 0x600			; new_task fills NEW: keep it
	mov ecx, 26
	rep movsd
	pop eax
	call new_task
	mov ebx, 3
	mov edi, HANDLERS
.next:	mov esi, NEW
	mov ecx, 32
	rep movsd
	dec ebx
	jnz .next
	mov esi, FREE + 0x600
	mov edi, NEW
	mov ecx, 26
	rep movsd
	ret

main:
	descriptor TASK_SHORT, NEW, 0x66, 0x89, 0
	descriptor TASK_ABSENT, NEW, 0x67, 0x09, 0
	descriptor ABSENT_DATA, 0, 0xfffff, 0x13, 0xc
	descriptor ABSENT_CODE, 0, 0xfffff, 0x1b, 0xc
	descriptor LDT, 0x5800, 0x17, 0x82, 0
	gate GDT + TASK_GATE, TASK, 0, 0x85, 0
	gate GDT + (TASK_GATE3 & ~7), TASK, 0, 0xe5, 0
	gate GDT + GATE_TO_DATA, DATA, 0, 0x85, 0
	home
	call switches
	call gates
	call wrong
	ret

switches:
	task_at .task
	probe "jump to a TSS"
	mov ecx, 0x0c0c0c0c
	mov ebp, 0x0b0b0b0b
	jmp TASK:0x1234
.back:	nop
	end_probe
	and var(esi), 9				; PE, TS
	show "tr", var(edx)
	show "eax", var(eax)
	show "ebp", var(ebp)
	show "cr0", var(esi)
	show "eflags", var(edi)
	mov eax, [TSS + 32]
	sub eax, .back
	show "old eip", eax
	show "old ecx", dword [TSS + 44]
	show "old ebp", dword [TSS + 60]
	mov eax, cr0
	call show_links
	home
	jmp .call
.task:	str edx
	mov esi, cr0
	pushfd
	pop edi
	and edi, 0x4fff
	int 0x40

.call:	task_at .returning
	probe "call to a TSS, IRET back"
	mov ebx, 0x12345678
	call TASK:0
.returned:
	mov ecx, [NEW + 32]
	sub ecx, .again
	mov edx, [NEW + 36]
	pushfd
	pop esi
	str edi
	int 0x40
	end_probe
	show "ebx", var(ebx)
	show "task eip", var(ecx)
	show "task eflags", var(edx)
	show "eflags", var(esi)
	show "tr", var(edi)
	show "inside eflags", dword [FREE + 0x200]
	show "inside main", dword [FREE + 0x204]
	call show_links
	probe "call again continues behind the IRET"
	call TASK:0
	end_probe
	show "tr", var(edx)
	call show_links
	home
	jmp .call16
.returning:
	pushfd
	pop dword [FREE + 0x200]
	movzx eax, byte [GDT + MAIN_TSS + 5]
	mov [FREE + 0x204], eax
	iretd
.again:	str edx
	int 0x40

.call16:
	mov edi, NEW16
	mov ecx, 11
	xor eax, eax
	rep stosd
	mov word [NEW16 + 14], .sixteen - ROM	; IP
	mov word [NEW16 + 16], 2		; FLAGS
	mov word [NEW16 + 18], 0x1111		; AX
	mov word [NEW16 + 20], 0x2222		; CX
	mov word [NEW16 + 26], TASK_STACK	; SP
	mov word [NEW16 + 34], DATA		; ES
	mov word [NEW16 + 36], CODE16
	mov word [NEW16 + 38], DATA
	mov word [NEW16 + 40], DATA
	probe "call to a 16-bit TSS, IRET back"
	mov eax, 0xdead0001
	mov esi, 0x76543210
	call TASK16:0
	mov edx, [FREE + 0x208]
	str edi
	int 0x40
	end_probe
	show "eax", var(eax)
	show "esi", var(esi)
	show "inside eax", var(edx)
	show "tr", var(edi)
	movzx eax, word [NEW16]
	show "link", eax
	movzx eax, word [NEW16 + 18]
	show "saved ax", eax
	home
	ret
bits 16
.sixteen:
	mov [dword FREE + 0x208], ax
	mov ax, 0x3333
	iretw
bits 32

gates:
	task_at finish_tr
	probe "call through a task gate"
	call TASK_GATE:0
	end_probe
	show "tr", var(edx)
	call show_links
	home
	task_at finish_tr
	probe "jump through a task gate"
	jmp TASK_GATE:0
	end_probe
	call show_links
	home
	gate IDT + 0x30 * 8, TASK, 0, 0x85, 0
	task_at .handler
	probe "INT through a task gate"
	push dword 0x0003
	popfd
	int 0x30
	pushfd
	pop eax
	int 0x40
	end_probe
	show "eflags", var(eax)
	show "esp", dword [FREE + 0x20c]
	call show_links
	home
	jmp .error
.handler:
	mov [FREE + 0x20c], esp
	iretd
.error:	gate IDT + 13 * 8, TASK, 0, 0x85, 0
	task_at .gp
	probe "#GP through a task gate pushes its error code"
	mov eax, 0x2000
	mov fs, eax
	end_probe
	show "error", var(eax)
	show "esp", var(ebx)
	mov eax, [TSS + 32]
	sub eax, var(start)
	show "old eip", eax
	call show_links
	home
	gate IDT + 13 * 8, CODE, event_stubs + 13 * 16, 0x8e, 0
	jmp .ring3
.gp:	mov ebx, esp
	pop eax
	int 0x40

.ring3:	task_at finish_tr
	probe "ring 3 calls through a task gate of DPL 3"
	enter_ring3 .user
.user:	mov var(start), .user
	call TASK_GATE3:0
	end_probe
	show "tr", var(edx)
	show "old cs", dword [TSS + 76]
	show "old ss", dword [TSS + 80]
	home
	task_at finish_tr
	probe "ring 3 jumps to a TSS of DPL 0"
	enter_ring3 .user2
.user2:	mov var(start), .user2
	jmp TASK:0
	end_probe
	home
	task_at .user4
	mov dword [NEW + 56], STACK3
	mov dword [NEW + 72], DATA3
	mov dword [NEW + 76], CODE3
	mov dword [NEW + 80], DATA3
	mov dword [NEW + 84], DATA3
	probe "a task that starts in ring 3"
	jmp TASK:0
.user4:	mov eax, cs
	str edx
	int 0x40
	end_probe
	show "cs", var(eax)
	show "old ss", var(old_ss)
	home
	ret

finish_tr:
	str edx
	int 0x40

wrong:
	task_at finish
	probe "jump to the busy task itself"
	jmp MAIN_TSS:0
	end_probe
	probe "jump to an absent TSS"
	jmp TASK_ABSENT:0
	end_probe
	probe "jump to a short TSS"
	jmp TASK_SHORT:0
	end_probe
	probe "task gate to data"
	jmp GATE_TO_DATA:0
	end_probe
	probe "IRET with NT and no task to go back to"
	push dword 0x4002
	popfd
	iretd
	end_probe
	mov word [TSS], TASK
	probe "IRET with NT to a task that is not busy"
	push dword 0x4002
	popfd
	iretd
	end_probe
	mov word [TSS], DATA
	probe "IRET with NT to data"
	push dword 0x4002
	popfd
	iretd
	end_probe
	home
	bad_field "CS null", 76, 0
	bad_field "CS is data", 76, DATA
	bad_field "CS absent", 76, ABSENT_CODE
	bad_field "SS null", 80, 0
	bad_field "SS is code", 80, CODE
	bad_field "SS absent", 80, ABSENT_DATA
	bad_field "SS of another ring", 80, DATA3
	bad_field "DS beyond the GDT", 84, 0x2000
	bad_field "ES absent", 72, ABSENT_DATA
	bad_field "FS is a TSS", 88, MAIN_TSS
	bad_field "LDT is data", 96, DATA
	bad_field "LDT from an LDT", 96, 0x0c
	task_at finish
	mov word [NEW + 100], 1
	probe "T bit traps before the first instruction"
	mov var(start), finish
	jmp TASK:0
	end_probe
	and var(dr6), 0xe00f
	show "dr6", var(dr6)
	home
	ret

finish_image
