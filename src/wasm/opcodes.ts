/** Value types of the WebAssembly binary format (core specification 5.3.1). */
export const VALUE_TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = keyof typeof VALUE_TYPES;

/** Two-operand numeric instructions: name → [i32 opcode, i64 opcode]. */
export const BINARY = {
	add: [0x6a, 0x7c],
	sub: [0x6b, 0x7d],
	mul: [0x6c, 0x7e],
	divS: [0x6d, 0x7f],
	divU: [0x6e, 0x80],
	remS: [0x6f, 0x81],
	remU: [0x70, 0x82],
	and: [0x71, 0x83],
	or: [0x72, 0x84],
	xor: [0x73, 0x85],
	shl: [0x74, 0x86],
	shrS: [0x75, 0x87],
	shrU: [0x76, 0x88],
	rotl: [0x77, 0x89],
	rotr: [0x78, 0x8a],
} as const;

/** Comparisons: the result is an i32, 0 or 1. */
export const COMPARE = {
	eq: [0x46, 0x51],
	ne: [0x47, 0x52],
	ltS: [0x48, 0x53],
	ltU: [0x49, 0x54],
	gtS: [0x4a, 0x55],
	gtU: [0x4b, 0x56],
	leS: [0x4c, 0x57],
	leU: [0x4d, 0x58],
	geS: [0x4e, 0x59],
	geU: [0x4f, 0x5a],
} as const;

/** One-operand instructions that keep their type. */
export const UNARY = {
	clz: [0x67, 0x79],
	ctz: [0x68, 0x7a],
	popcnt: [0x69, 0x7b],
	sext8: [0xc0, 0xc2],
	sext16: [0xc1, 0xc3],
} as const;

export const OP = {
	unreachable: 0x00,
	block: 0x02,
	loop: 0x03,
	if: 0x04,
	else: 0x05,
	end: 0x0b,
	br: 0x0c,
	brIf: 0x0d,
	brTable: 0x0e,
	return: 0x0f,
	call: 0x10,
	callIndirect: 0x11,
	returnCall: 0x12,
	drop: 0x1a,
	select: 0x1b,
	localGet: 0x20,
	localSet: 0x21,
	localTee: 0x22,
	globalGet: 0x23,
	globalSet: 0x24,
	i32Const: 0x41,
	i64Const: 0x42,
	i32Eqz: 0x45,
	i64Eqz: 0x50,
	i32WrapI64: 0xa7,
	i64ExtendI32S: 0xac,
	i64ExtendI32U: 0xad,
	i64Extend32S: 0xc4,
	prefixFC: 0xfc,
	memoryCopy: 0x0a,
	memoryFill: 0x0b,
} as const;

/** Behind the prefix FD: opcodes of two bytes and more are written as `SIMD_PREFIX | number`. */
export const SIMD_PREFIX = 0xfd0000;

/** Loads: name → [opcode, result type, log2 of the natural alignment]. */
export const LOADS = {
	i32: [0x28, "i32", 2],
	i64: [0x29, "i64", 3],
	i32_8s: [0x2c, "i32", 0],
	i32_8u: [0x2d, "i32", 0],
	i32_16s: [0x2e, "i32", 1],
	i32_16u: [0x2f, "i32", 1],
	i64_8s: [0x30, "i64", 0],
	i64_8u: [0x31, "i64", 0],
	i64_16s: [0x32, "i64", 1],
	i64_16u: [0x33, "i64", 1],
	i64_32s: [0x34, "i64", 2],
	i64_32u: [0x35, "i64", 2],
	v128: [SIMD_PREFIX | 0x00, "v128", 4],
	v128_32zero: [SIMD_PREFIX | 0x5c, "v128", 2],
	v128_64zero: [SIMD_PREFIX | 0x5d, "v128", 3],
} as const satisfies Record<string, readonly [number, ValueType, number]>;
export type LoadKind = keyof typeof LOADS;

/** Stores: name → [opcode, value type]. */
export const STORES = {
	i32: [0x36, "i32"],
	i64: [0x37, "i64"],
	i32_8: [0x3a, "i32"],
	i32_16: [0x3b, "i32"],
	i64_8: [0x3c, "i64"],
	i64_16: [0x3d, "i64"],
	i64_32: [0x3e, "i64"],
	v128: [SIMD_PREFIX | 0x0b, "v128"],
} as const satisfies Record<string, readonly [number, ValueType]>;
export type StoreKind = keyof typeof STORES;
