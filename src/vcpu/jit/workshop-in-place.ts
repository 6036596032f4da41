import type { Feature } from "../../isa/features.ts";
import { UnitMaker } from "./unit-maker.ts";
import type { TableRoom, UnitOrder, UnitResult, Workshop } from "./unit-order.ts";

/** Makes units at once, while the guest waits. */
export class WorkshopInPlace implements Workshop {
	readonly busy = 0;
	readonly most = 1;
	private readonly maker: UnitMaker;

	constructor(room: TableRoom) {
		this.maker = new UnitMaker(room, undefined);
	}

	make(order: UnitOrder, done: (result: UnitResult) => void): void {
		done(this.maker.make(order));
	}

	poll(): void {}

	restart(features: readonly Feature[] | undefined): void {
		this.maker.restart(features);
	}

	close(): void {}
}
