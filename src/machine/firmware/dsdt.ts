import { join } from "../../base/bytes.ts";
import {
	type Aml,
	and,
	arg,
	byteFields,
	call,
	createDWordField,
	device,
	eisaId,
	ifThen,
	integer,
	local,
	method,
	name,
	not,
	operationRegion,
	or,
	packageOf,
	path,
	returnValue,
	SPACE_PCI_CONFIG,
	scope,
	store,
	string,
} from "./aml.ts";
import {
	busWindow,
	INTERRUPT_NUMBER,
	interrupt,
	io,
	ioWindow,
	irq,
	memoryWindow,
	resourceTemplate,
} from "./aml-resources.ts";
import type { PcDescription } from "./description.ts";

const IOAPIC_BASE = 0xfec0_0000;
const SCI = 9;
/** ISA interrupts that the links may use. */
const LINK_IRQS = [5, 10, 11];
const LINKS = ["LNKA", "LNKB", "LNKC", "LNKD"];
/** The link that always gives the system control interrupt: the power management function's INTA#. */
const SCI_LINK = "LNKS";
const PIRQS = ["PRQA", "PRQB", "PRQC", "PRQD"];
const PCI_SLOTS = 32;
const ISA_SLOT = 1;
const PIRQ_REGISTERS = 0x60;
const PIRQ_DISABLE = 0x80;

const PRESENT_ENABLED = 0x0b;
const PRESENT_DISABLED = 0x09;

/** What the machine looks like to ACPI: the body of its DSDT, after the header. */
export function dsdtBody(pc: PcDescription): Aml {
	return join(
		scope(
			"\\_SB",
			device(
				"PCI0",
				name("_HID", eisaId("PNP0A03")),
				name("_UID", integer(0)),
				name("_CRS", hostBridgeResources(pc)),
				name("_PRT", interruptRouting()),
				isaBridge(pc),
			),
			linkStatus(),
			linkResources(),
			...LINKS.map((link, i) => linkDevice(link, i)),
			device(
				SCI_LINK,
				name("_HID", eisaId("PNP0C0F")),
				name("_UID", integer(LINKS.length)),
				name("_PRS", resourceTemplate(interrupt(SCI))),
				name("_CRS", resourceTemplate(interrupt(SCI))),
				method("_SRS", 1, false),
				method("_DIS", 0, false),
			),
			...Array.from({ length: pc.cpus }, (_, i) =>
				device(
					`CP${i.toString(16).toUpperCase().padStart(2, "0")}`,
					name("_HID", string("ACPI0007")),
					name("_UID", integer(i)),
				),
			),
		),
		...pc.sleepTypes.map(([state, type]) =>
			name(`\\_S${state}`, packageOf([integer(type), integer(type), integer(0), integer(0)])),
		),
	);
}

/** All ports but those of configuration mechanism 1, the VGA window, and the hole between RAM and the I/O APIC. */
function hostBridgeResources(pc: PcDescription): Aml {
	return resourceTemplate(
		busWindow(0, 0xff),
		io(0xcf8, 8),
		ioWindow(0, 0xcf7),
		ioWindow(0xd00, 0xffff),
		memoryWindow(0xa_0000, 0xb_ffff, true),
		memoryWindow(pc.lowRam, IOAPIC_BASE - 1),
	);
}

/** Slot s, pin p (INTA# = 0) is wired to PIRQ (s + p - 1) mod 4. */
function interruptRouting(): Aml {
	const entries: Aml[] = [];
	for (let slot = 0; slot < PCI_SLOTS; slot++) {
		for (let pin = 0; pin < 4; pin++) {
			const link = slot === ISA_SLOT && pin === 0 ? SCI_LINK : LINKS[(slot + pin + 3) % 4]!;
			entries.push(packageOf([integer(slot * 0x1_0000 + 0xffff), integer(pin), path(link), integer(0)]));
		}
	}
	return packageOf(entries);
}

function isaBridge(pc: PcDescription): Aml {
	const motherboard = [io(0x92, 1), io(0xb2, 2), io(0x4d0, 2), io(pc.gpe0.base, pc.gpe0.length)];
	return device(
		"ISA",
		name("_ADR", integer(ISA_SLOT << 16)),
		operationRegion("PIRQ", SPACE_PCI_CONFIG, PIRQ_REGISTERS, PIRQS.length),
		byteFields(
			"PIRQ",
			PIRQS.map((field) => [field, 8]),
		),
		device("MBRD", name("_HID", eisaId("PNP0C02")), name("_CRS", resourceTemplate(...motherboard))),
		isaDevice("RTC", "PNP0B00", io(0x70, 2), irq(8)),
		...(pc.keyboard ? [isaDevice("KBD", "PNP0303", io(0x60, 1), io(0x64, 1), irq(1))] : []),
		...(pc.mouse ? [isaDevice("MOU", "PNP0F13", irq(12))] : []),
		...pc.serialPorts.map(({ number, base, irq: line }) =>
			device(
				`COM${number}`,
				name("_HID", eisaId("PNP0501")),
				name("_UID", integer(number)),
				name("_CRS", resourceTemplate(io(base, 8), irq(line))),
			),
		),
	);
}

function isaDevice(of: string, id: string, ...resources: readonly Uint8Array[]): Aml {
	return device(of, name("_HID", eisaId(id)), name("_CRS", resourceTemplate(...resources)));
}

/** LSTA(route): a link whose route is disabled is present all the same. */
function linkStatus(): Aml {
	return method(
		"LSTA",
		1,
		false,
		ifThen(and(arg(0), integer(PIRQ_DISABLE)), returnValue(integer(PRESENT_DISABLED))),
		returnValue(integer(PRESENT_ENABLED)),
	);
}

/** LCRS(route): the interrupt a link is routed to, 0 while it is disabled. */
function linkResources(): Aml {
	return method(
		"LCRS",
		1,
		true,
		store(resourceTemplate(interrupt(0)), local(0)),
		createDWordField(local(0), INTERRUPT_NUMBER, "IRQN"),
		ifThen(not(and(arg(0), integer(PIRQ_DISABLE))), store(arg(0), path("IRQN"))),
		returnValue(local(0)),
	);
}

function linkDevice(of: string, index: number): Aml {
	const route = path(`\\_SB.PCI0.ISA.${PIRQS[index]}`);
	return device(
		of,
		name("_HID", eisaId("PNP0C0F")),
		name("_UID", integer(index)),
		name("_PRS", resourceTemplate(interrupt(...LINK_IRQS))),
		method("_STA", 0, false, returnValue(call("LSTA", route))),
		method("_CRS", 0, false, returnValue(call("LCRS", route))),
		method("_SRS", 1, true, createDWordField(arg(0), INTERRUPT_NUMBER, "IRQN"), store(path("IRQN"), route)),
		method("_DIS", 0, false, or(route, integer(PIRQ_DISABLE), route)),
	);
}
