; The ROM that `make run` boots: 64 KiB, ending at 4 GiB and at 1 MiB.
;
; It greets, sizes and tests RAM, stores into its own ROM, identifies the flash below it by CFI query, counts its boots
; there, and leaves through the debug-exit port. Rebuild with firmware/build.sh; `nasm -f bin` is all it takes.
;
; Everything after the switch to protected mode runs from the copy below 1 MiB, so that the top of memory is free for
; experiments: on QEMU's pc this image goes into flash unit 0 and the flash into unit 1, and a store up there is a command.
;
; Exit status: 0 all good, 1 RAM, 2 the ROM changed, 3 flash.

ROM_SIZE	equ 0x10000
ROM_LOW		equ 0x100000 - ROM_SIZE		; where this image is assembled to run
ROM_HIGH	equ 0x100000000 - ROM_SIZE

STACK_TOP	equ 0x8000
DATA		equ 0x8000			; the few variables live here
RAM_LOW_START	equ 0x10000			; below: stack and data
RAM_LOW_END	equ 0x9fc00			; above: room for an extended BIOS data area
RAM_HIGH_START	equ 0x100000

COM1		equ 0x3f8
LSR		equ COM1 + 5
FW_CFG_SELECT	equ 0x510
FW_CFG_DATA	equ 0x511
FW_CFG_RAM_SIZE	equ 3
DEBUG_EXIT	equ 0xf4

; Flash commands: Intel command set 0001.
FLASH_ARRAY	equ 0xff
FLASH_QUERY	equ 0x98
FLASH_ERASE	equ 0x20
FLASH_CONFIRM	equ 0xd0
FLASH_PROGRAM	equ 0x40
FLASH_READY	equ 0x80			; status bit 7
FLASH_ERRORS	equ 0x3a			; status: erase, program, voltage, locked

struc vars
	.flash_base:	resd 1
	.flash_size:	resd 1
	.sector_size:	resd 1
	.command_mode:	resd 1			; 0: the array can be read, 1: it cannot
	.mode_changes:	resd 1
	.boots:		resd 1
	.record:	resb 64			; what sector 0 shall hold
endstruc

cpu 686
org ROM_LOW
bits 32

; ---------------------------------------------------------------------------------------------------------------------
; Data first: the store into the ROM gets a round address.

rom_word:	db "ROM!"
rom_store	equ 0x21444142			; "BAD!"

	align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff			; 08: code, flat 4 GiB
	dq 0x00cf93000000ffff			; 10: data, flat 4 GiB
gdt_end:
gdt_pointer:
	dw gdt_end - gdt - 1
	dd gdt

hello:		db "Hello from the reset vector: 64 KiB of ROM at 0x", 0
hello_and:	db " and 0x", 0
ram_is:		db "RAM    ", 0
ram_fw_cfg:	db " MiB, says fw_cfg", 0
ram_cmos:	db " MiB, says CMOS", 0
ram_tested:	db "RAM    patterns and addresses tested: ", 0
ram_good:	db " KiB, no errors", 0
ram_bad:	db "RAM    bad at 0x", 0
rom_storing:	db "ROM    storing 0x", 0
rom_at:		db " at 0x", 0
rom_reads:	db "ROM    reads 0x", 0
rom_same:	db " as before: not changed", 0
rom_changed:	db ": CHANGED", 0
flash_none:	db "Flash  none answers the CFI query below the ROM", 0
flash_is:	db "Flash  CFI: ", 0
flash_at:	db " KiB at 0x", 0
flash_sectors:	db ", ", 0
flash_of:	db " sectors of ", 0
flash_bytes:	db " bytes", 0
flash_boots:	db "Flash  sector 0 erased, programmed, read back: boot ", 0
flash_of_this:	db " with this flash", 0
flash_failed:	db "Flash  sector 0 does not hold what was programmed, status 0x", 0
flash_changes:	db "Flash  ", 0
flash_switches:	db " switches between array and command mode (ROMD)", 0
bye:		db "Done.", 0

record_text:	db "tsvmm demo boots"
record_length	equ $ - record_text

; ---------------------------------------------------------------------------------------------------------------------
; Reset comes here in real mode, cs = f000.

bits 16
start:
	cli
	cld
	in al, 0x92				; fast A20, and not the reset bit beside it
	or al, 2
	and al, 0xfe
	out 0x92, al
	mov bx, gdt_pointer - ROM_LOW
	o32 lgdt [cs:bx]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 0x08:protected

bits 32
protected:
	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov esp, STACK_TOP
	mov edi, DATA
	xor eax, eax
	mov ecx, vars_size / 4
	rep stosd

	call serial_init
	call say_hello
	call check_ram
	call check_rom
	call check_flash
	mov esi, bye
	call put_line
	xor ebx, ebx

; Waits for the last byte to leave the wire, then exits with status bl. Without the port, stays halted.
leave_with:
	mov edx, LSR
.wait:	in al, dx
	test al, 0x40
	jz .wait
	mov al, bl
	out DEBUG_EXIT, al
.halt:	cli
	hlt
	jmp .halt

say_hello:
	mov esi, hello
	call put_text
	mov eax, ROM_HIGH
	call put_hex
	mov esi, hello_and
	call put_text
	mov eax, ROM_LOW
	call put_hex
	jmp put_end

; ---------------------------------------------------------------------------------------------------------------------
; RAM

; Prints the size of RAM, then tests it from its own data to the end, leaving out the hole below 1 MiB.
check_ram:
	mov esi, ram_is
	call put_text
	call size_by_fw_cfg
	mov esi, ram_fw_cfg
	test eax, eax
	jnz .sized
	call size_by_cmos
	mov esi, ram_cmos
.sized:	mov ebp, eax				; end of RAM below 4 GiB
	shr eax, 20
	call put_decimal
	call put_line

	mov ebx, RAM_LOW_START
	mov edx, RAM_LOW_END
	call test_range
	mov ebx, RAM_HIGH_START
	mov edx, ebp
	call test_range

	mov esi, ram_tested
	call put_text
	lea eax, [ebp - RAM_HIGH_START + RAM_LOW_END - RAM_LOW_START]
	shr eax, 10
	call put_decimal
	mov esi, ram_good
	jmp put_line

; eax = bytes of RAM below 4 GiB, 0 without fw_cfg. Beyond 3.5 GiB the pc machine keeps 3 GiB below.
size_by_fw_cfg:
	xor eax, eax				; item 0 is the signature
	mov edx, FW_CFG_SELECT
	out dx, ax
	call fw_cfg_dword
	cmp eax, "QEMU"
	mov eax, 0
	jne .done
	mov eax, FW_CFG_RAM_SIZE
	mov edx, FW_CFG_SELECT
	out dx, ax
	call fw_cfg_dword
	mov ecx, eax
	call fw_cfg_dword
	xchg eax, ecx				; ecx:eax = bytes
	test ecx, ecx
	jnz .split
	cmp eax, 0xe0000000
	jbe .done
.split:	mov eax, 0xc0000000
.done:	ret

; eax = the next four bytes of the selected item, the first one lowest.
fw_cfg_dword:
	mov edx, FW_CFG_DATA
	mov bl, 4
.next:	in al, dx
	ror eax, 8
	dec bl
	jnz .next
	ret

; eax = bytes of RAM below 4 GiB: CMOS 34/35 count 64 KiB from 16 MiB, 30/31 count KiB from 1 MiB.
size_by_cmos:
	mov cl, 0x35
	call cmos_word
	shl eax, 16
	jz .small
	add eax, 16 << 20
	ret
.small:	mov cl, 0x31
	call cmos_word
	shl eax, 10
	add eax, 1 << 20
	ret

; eax = CMOS bytes cl and cl - 1, the high byte first.
cmos_word:
	xor eax, eax
	mov al, cl
	out 0x70, al
	in al, 0x71
	mov ah, al
	lea edx, [ecx - 1]
	xchg eax, edx
	out 0x70, al
	xchg eax, edx
	in al, 0x71
	ret

; Tests [ebx, edx): two patterns in every dword; then each 256 bytes know their own address, and so does every dword of the
; first 64 KiB, which together tells every address line apart.
test_range:
	mov eax, 0x55555555
	call test_pattern
	not eax
	call test_pattern
	push edx
	mov ecx, 256
	call test_addresses
	lea edx, [ebx + 0x10000]
	mov ecx, 4
	call test_addresses
	pop edx
	ret

; Fills [ebx, edx) with eax and reads it back.
test_pattern:
	mov edi, ebx
	mov ecx, edx
	sub ecx, ebx
	shr ecx, 2
	push ecx
	rep stosd
	pop ecx
	mov edi, ebx
	repe scasd
	lea edi, [edi - 4]
	jne ram_failed
	ret

; Stores its own address every ecx bytes of [ebx, edx), then reads all of them back.
test_addresses:
	mov edi, ebx
.store:	mov [edi], edi
	add edi, ecx
	cmp edi, edx
	jb .store
	mov edi, ebx
.load:	cmp [edi], edi
	jne ram_failed
	add edi, ecx
	cmp edi, edx
	jb .load
	ret

; edi = where.
ram_failed:
	mov esi, ram_bad
	call put_text
	mov eax, edi
	call put_hex
	call put_end
	mov bl, 1
	jmp leave_with

; ---------------------------------------------------------------------------------------------------------------------
; ROM

; Stores into the ROM and reads it back.
check_rom:
	mov esi, rom_storing
	call put_text
	mov eax, rom_store
	call put_hex
	mov esi, rom_at
	call put_text
	mov eax, rom_word
	call put_hex
	call put_end

	mov ebx, [rom_word]
	mov dword [rom_word], rom_store
	mov eax, [rom_word]

	mov esi, rom_reads
	call put_text
	call put_hex
	mov esi, rom_same
	cmp eax, ebx
	je put_line
	mov esi, rom_changed
	call put_line
	mov bl, 2
	jmp leave_with

; ---------------------------------------------------------------------------------------------------------------------
; Flash

; Identifies the flash that ends where the ROM begins, and counts this boot in its sector 0.
check_flash:
	mov edi, ROM_HIGH - 0x100		; the query answers at any multiple of 256
	mov al, FLASH_QUERY
	call flash_command
	cmp byte [edi + 0x10], "Q"
	jne .none
	cmp byte [edi + 0x11], "R"
	jne .none
	cmp byte [edi + 0x12], "Y"
	jne .none
	movzx ecx, byte [edi + 0x30]		; sector size / 256
	shl ecx, 8
	mov cl, [edi + 0x2f]
	shl ecx, 8
	mov [DATA + vars.sector_size], ecx
	movzx eax, byte [edi + 0x2e]		; sectors - 1
	shl eax, 8
	mov al, [edi + 0x2d]
	inc eax
	mul ecx
	mov [DATA + vars.flash_size], eax
	mov edx, ROM_HIGH & 0xffffffff
	sub edx, eax
	mov [DATA + vars.flash_base], edx
	mov al, FLASH_ARRAY
	call flash_command

	mov esi, flash_is
	call put_text
	mov eax, [DATA + vars.flash_size]
	shr eax, 10
	call put_decimal
	mov esi, flash_at
	call put_text
	mov eax, edx
	call put_hex
	mov esi, flash_sectors
	call put_text
	mov eax, [DATA + vars.flash_size]
	xor edx, edx
	div dword [DATA + vars.sector_size]
	call put_decimal
	mov esi, flash_of
	call put_text
	mov eax, [DATA + vars.sector_size]
	call put_decimal
	mov esi, flash_bytes
	call put_line

	call read_boots
	call write_boots
	mov esi, flash_boots
	call put_text
	mov eax, [DATA + vars.boots]
	call put_decimal
	mov esi, flash_of_this
	call put_line
	mov esi, flash_changes
	call put_text
	mov eax, [DATA + vars.mode_changes]
	call put_decimal
	mov esi, flash_switches
	jmp put_line

.none:	mov al, FLASH_ARRAY			; whatever is there shall not stay in a command
	call flash_command
	mov esi, flash_none
	jmp put_line

; Reads how many boots sector 0 has seen (0 when the text is not there) and prepares its next record.
read_boots:
	mov esi, [DATA + vars.flash_base]
	mov edi, record_text
	mov ecx, record_length
	xor eax, eax
	repe cmpsb
	jne .first
	mov eax, [esi]
.first:	inc eax
	mov [DATA + vars.boots], eax
	mov esi, record_text
	mov edi, DATA + vars.record
	mov ecx, record_length
	rep movsb
	stosd
	ret

; Erases sector 0, finds it blank, programs the record and compares it.
write_boots:
	mov edi, [DATA + vars.flash_base]
	mov al, FLASH_ERASE
	call flash_command
	mov byte [edi], FLASH_CONFIRM
	call flash_wait
	mov al, FLASH_ARRAY
	call flash_command
	push edi
	mov ecx, [DATA + vars.sector_size]
	mov al, 0xff
	repe scasb
	pop edi
	jne .failed

	mov esi, DATA + vars.record
	mov ecx, record_length + 4
.byte:	mov al, FLASH_PROGRAM
	call flash_command
	movsb					; the data cycle
	call flash_wait
	loop .byte
	mov al, FLASH_ARRAY
	call flash_command

	mov edi, [DATA + vars.flash_base]
	mov esi, DATA + vars.record
	mov ecx, record_length + 4
	repe cmpsb
	jne .failed
	test bl, FLASH_ERRORS
	jnz .failed
	ret
.failed:
	mov esi, flash_failed
	call put_text
	movzx eax, bl
	call put_hex
	call put_end
	mov bl, 3
	jmp leave_with

; Writes command al at edi and counts when that takes the array away or brings it back.
flash_command:
	push ecx
	mov [edi], al
	cmp al, FLASH_ARRAY
	setne cl
	movzx ecx, cl
	cmp ecx, [DATA + vars.command_mode]
	je .same
	mov [DATA + vars.command_mode], ecx
	inc dword [DATA + vars.mode_changes]
.same:	pop ecx
	ret

; bl = the flash's status, once it is ready. A flash that never is gets 16 million reads.
flash_wait:
	push ecx
	mov ecx, 1 << 24
	mov edx, [DATA + vars.flash_base]
.poll:	mov bl, [edx]
	test bl, FLASH_READY
	loopz .poll
	pop ecx
	ret

; ---------------------------------------------------------------------------------------------------------------------
; Serial console

; 115200 baud, 8 data bits, no parity, 1 stop bit; FIFOs on and empty; DTR and RTS.
serial_init:
	mov esi, .registers
.next:	lodsw
	movzx edx, al
	add edx, COM1
	mov al, ah
	out dx, al
	cmp esi, .end
	jb .next
	ret
.registers:
	db 1, 0x00				; no interrupts: this ROM polls
	db 3, 0x80				; divisor latch
	db 0, 0x01				; 115200 / 1
	db 1, 0x00
	db 3, 0x03				; 8N1
	db 2, 0x07				; FIFOs
	db 4, 0x03				; DTR, RTS
.end:

; al = the byte to send. All these routines keep the registers.
put_char:
	push edx
	push eax
	mov edx, LSR
.wait:	in al, dx
	test al, 0x20
	jz .wait
	pop eax
	mov edx, COM1
	out dx, al
	pop edx
	ret

; esi = text that ends in 0.
put_text:
	push esi
	push eax
.next:	lodsb
	test al, al
	jz .done
	call put_char
	jmp .next
.done:	pop eax
	pop esi
	ret

put_line:
	call put_text
put_end:
	push eax
	mov al, 13
	call put_char
	mov al, 10
	call put_char
	pop eax
	ret

; eax in eight hexadecimal digits.
put_hex:
	push eax
	push ecx
	mov ecx, 8
.next:	rol eax, 4
	push eax
	and al, 15
	cmp al, 10
	sbb al, 0x69
	das
	or al, 0x20				; lower case; digits have the bit already
	call put_char
	pop eax
	loop .next
	pop ecx
	pop eax
	ret

; eax in decimal.
put_decimal:
	push eax
	push ecx
	push edx
	mov ecx, 10
	push dword 0				; ends the digits
.divide:
	xor edx, edx
	div ecx
	add edx, "0"
	push edx
	test eax, eax
	jnz .divide
.print:	pop eax
	test eax, eax
	jz .done
	call put_char
	jmp .print
.done:	pop edx
	pop ecx
	pop eax
	ret

; ---------------------------------------------------------------------------------------------------------------------

	times ROM_SIZE - 16 - ($ - $$) db 0xff
bits 16
	jmp 0xf000:(start - ROM_LOW)
	db "tsvmm demo", 0xff			; fills the last paragraph
	times ROM_SIZE - ($ - $$) db 0xff
