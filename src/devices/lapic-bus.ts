/** Delivery modes of an interrupt message (SDM 3A 11.6.1, 11.11.2). */
export const FIXED = 0;
export const LOWEST_PRIORITY = 1;
export const SMI = 2;
export const NMI = 4;
export const INIT = 5;
export const STARTUP = 6;
export const EXTINT = 7;

/** The destination that is everybody, physical or logical. */
export const BROADCAST = 0xffff_ffff;

/** A destination field of eight bits: all of them set is everybody. */
export function destinationOf(field: number): number {
	return field === 0xff ? BROADCAST : field;
}

/** One interrupt message between APICs, or from a device to them. */
export interface ApicMessage {
	readonly vector: number;
	/** {@link FIXED} .. {@link EXTINT}. */
	readonly mode: number;
	/** 32 bits; {@link BROADCAST} is everybody. */
	readonly destination: number;
	/** Whether `destination` is matched against logical IDs, otherwise against the APIC's ID. */
	readonly logical: boolean;
	/** Level-triggered: its end is broadcast to the I/O APICs. */
	readonly level: boolean;
}

/** A local APIC as others on the bus see it. */
export interface ApicNode {
	/** Whether a message to this destination is meant for it. */
	matches(destination: number, logical: boolean): boolean;
	/** Task and service priority: the lowest gets lowest-priority messages. */
	readonly priority: number;
	deliver(message: ApicMessage): void;
}

/** Told the vector when a level-triggered interrupt has been served. */
export interface EoiListener {
	endOfInterrupt(vector: number): void;
}

/** What connects local APICs, I/O APICs and message-signalled interrupts. */
export class ApicBus {
	private readonly nodes: ApicNode[] = [];
	private readonly listeners: EoiListener[] = [];

	attach(node: ApicNode): void {
		this.nodes.push(node);
	}

	/** I/O APICs hear every end of a level-triggered interrupt. */
	listen(listener: EoiListener): void {
		this.listeners.push(listener);
	}

	/** @returns whether anybody took the message */
	send(message: ApicMessage): boolean {
		const { destination, logical, mode } = message;
		const targets = this.nodes.filter((node) => node.matches(destination, logical));
		if (mode === LOWEST_PRIORITY) {
			const lowest = targets.reduce<ApicNode | undefined>(
				(best, node) => (best === undefined || node.priority < best.priority ? node : best),
				undefined,
			);
			lowest?.deliver(message);
		} else for (const node of targets) node.deliver(message);
		return targets.length > 0;
	}

	/** To every local APIC, with or without the sender. */
	broadcast(message: ApicMessage, except: ApicNode | undefined): void {
		for (const node of this.nodes) if (node !== except) node.deliver(message);
	}

	/** A message-signalled interrupt: a write of `data` to 0xFEExxxxx (SDM 3A 11.11). */
	messageSignalled(address: number, data: number): void {
		this.send({
			vector: data & 0xff,
			mode: (data >> 8) & 7,
			destination: destinationOf((address >>> 12) & 0xff),
			logical: (address & 4) !== 0,
			level: (data & 0x8000) !== 0,
		});
	}

	endOfInterrupt(vector: number): void {
		for (const listener of this.listeners) listener.endOfInterrupt(vector);
	}
}
