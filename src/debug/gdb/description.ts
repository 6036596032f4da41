import type { Architecture, Register } from "./registers.ts";

/** Bits of the flag registers, by name and number (SDM 3A 2.3, 2.5 and 2.2.1; SDM 1 10.2.3). */
const FLAGS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
	i386_eflags: {
		...{ CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, TF: 8, IF: 9, DF: 10, OF: 11, NT: 14, RF: 16, VM: 17, AC: 18 },
		...{ VIF: 19, VIP: 20, ID: 21 },
	},
	i386_mxcsr: {
		...{ IE: 0, DE: 1, ZE: 2, OE: 3, UE: 4, PE: 5, DAZ: 6 },
		...{ IM: 7, DM: 8, ZM: 9, OM: 10, UM: 11, PM: 12, FZ: 15 },
	},
	x86_cr0: { PE: 0, MP: 1, EM: 2, TS: 3, ET: 4, NE: 5, WP: 16, AM: 18, NW: 29, CD: 30, PG: 31 },
	x86_cr4: {
		...{ VME: 0, PVI: 1, TSD: 2, DE: 3, PSE: 4, PAE: 5, MCE: 6, PGE: 7, PCE: 8, OSFXSR: 9, OSXMMEXCPT: 10, UMIP: 11 },
		...{
			LA57: 12,
			VMXE: 13,
			SMXE: 14,
			FSGSBASE: 16,
			PCIDE: 17,
			OSXSAVE: 18,
			SMEP: 20,
			SMAP: 21,
			PKE: 22,
			CET: 23,
			PKS: 24,
		},
	},
	x86_efer: { SCE: 0, LME: 8, LMA: 10, NXE: 11, SVME: 12, LMSLE: 13, FFXSR: 14, TCE: 15 },
};

/** Views of a vector register. */
const VECTORS: readonly (readonly [id: string, type: string, count: number, field: string])[] = [
	["v4f", "ieee_single", 4, "v4_float"],
	["v2d", "ieee_double", 2, "v2_double"],
	["v16i8", "int8", 16, "v16_int8"],
	["v8i16", "int16", 8, "v8_int16"],
	["v4i32", "int32", 4, "v4_int32"],
	["v2i64", "int64", 2, "v2_int64"],
];

function flagsType(id: string, bytes: number): string {
	const fields = Object.entries(FLAGS[id] ?? {}).map(
		([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`,
	);
	return `<flags id="${id}" size="${bytes}">${fields.join("")}</flags>`;
}

function vectorType(): string {
	const views = VECTORS.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`);
	const fields = VECTORS.map(([id, , , field]) => `<field name="${field}" type="${id}"/>`);
	return `${views.join("")}<union id="vec128">${fields.join("")}<field name="uint128" type="uint128"/></union>`;
}

/** The types that a feature's registers name and GDB does not have by itself. */
function typesOf(registers: readonly Register[]): string {
	const used = new Map(registers.map(({ type, bits }) => [type, bits / 8]));
	const flags = [...used].filter(([type]) => type in FLAGS).map(([type, bytes]) => flagsType(type, bytes));
	return `${flags.join("")}${used.has("vec128") ? vectorType() : ""}`;
}

/** The target description (GDB manual, appendix G): registers are numbered in the order given. */
export function targetDescription(architecture: Architecture, registers: readonly Register[]): string {
	const features = [...new Set(registers.map(({ feature }) => feature))].map((feature) => {
		const own = registers.filter((register) => register.feature === feature);
		const lines = own.map(({ name, bits, type, group }) => {
			const number = registers.findIndex((register) => register.name === name);
			return `<reg name="${name}" bitsize="${bits}" type="${type}" group="${group}" regnum="${number}"/>`;
		});
		return `<feature name="org.gnu.gdb.i386.${feature}">${typesOf(own)}${lines.join("")}</feature>`;
	});
	const head = `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">`;
	return `${head}<target version="1.0"><architecture>${architecture}</architecture>${features.join("")}</target>`;
}
