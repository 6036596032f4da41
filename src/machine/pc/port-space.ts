import type { Device } from "../../bus/device.ts";
import type { Window } from "../../bus/pci.ts";
import type { BusTarget } from "../../bus/range-bus.ts";
import { RangeBus } from "../../bus/range-bus.ts";

/** The board's I/O ports, and all its devices in the order in which they are reset. */
export class PortSpace {
	readonly bus = new RangeBus("ports", 0x10000);
	private readonly owned = new Set<Device>();

	/** All devices of the board. */
	get devices(): Iterable<Device> {
		return this.owned;
	}

	/** `device` belongs to the board: it is reset with it. */
	own(...devices: readonly Device[]): void {
		for (const device of devices) this.owned.add(device);
	}

	/** `device` answers at `count` ports from `base` on; the first is its own `offset`. It belongs to the board. */
	place(base: number, count: number, device: Device, offset = 0): void {
		this.bus.map(base, base + count - 1, device, offset);
		this.own(device);
	}

	/** Puts something at `count` ports that is no device of its own. */
	lay(base: number, count: number, target: BusTarget): void {
		this.bus.map(base, base + count - 1, target);
	}
}

/** A window whose registers are known only after the function that moves it has been made. */
export class LateWindow implements Window {
	private window: Window | undefined;

	/** From now on the window is `window`. */
	open(window: Window): void {
		this.window = window;
	}

	place(base: number | undefined): void {
		this.window?.place(base);
	}
}
