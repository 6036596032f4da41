import { describe, expect, test } from "vitest";
import type { KvmResult } from "../../src/kvm/errno.ts";
import { numbers } from "./selftests/guest.ts";
import { PAGE, Slots } from "./support.ts";

const OPERATIONS = 100_000;
const SLOTS = 12;
const FRAMES = 64;
const PAGES_MAX = 9;
const HVA = 0x7f00_0000_0000;

interface ModelSlot {
	readonly frame: number;
	readonly pages: number;
	readonly hva: number;
	readonly flags: number;
	/** undefined: does not log. */
	readonly dirty: Set<number> | undefined;
}

/** What KVM_SET_USER_MEMORY_REGION means, with a map from ids to slots and nothing else. */
class Model {
	readonly slots = new Map<number, ModelSlot>();
	initiallySet = false;
	manual = false;

	set(id: number, flags: number, gpa: number, size: number, hva: number): KvmResult {
		if (flags > 3 || size % PAGE || gpa % PAGE || hva % PAGE || id >= 32764) return "EINVAL";
		const old = this.slots.get(id);
		const [frame, pages] = [gpa / PAGE, size / PAGE];
		if (size === 0) return this.slots.delete(id) ? 0 : "EINVAL";
		if (old) {
			if (old.hva !== hva || old.pages !== pages || ((old.flags ^ flags) & 2) !== 0) return "EINVAL";
			if (old.frame === frame && old.flags === flags) return 0;
		}
		if (old?.frame !== frame) {
			for (const [other, slot] of this.slots) {
				if (other !== id && frame < slot.frame + slot.pages && slot.frame < frame + pages) return "EEXIST";
			}
		}
		const fresh = new Set(this.initiallySet ? Array.from({ length: pages }, (_, page) => page) : []);
		this.slots.set(id, { frame, pages, hva, flags, dirty: flags & 1 ? (old?.dirty ?? fresh) : undefined });
		return 0;
	}

	dirty(id: number): number[] | KvmResult {
		const dirty = this.slots.get(id)?.dirty;
		if (dirty === undefined) return "ENOENT";
		const pages = [...dirty].sort((a, b) => a - b);
		if (!this.manual) dirty.clear();
		return pages;
	}
}

describe.each([1, 2, 3])("random slot operations, seed %i", (seed) => {
	test("answer as a model does, and leave the table that it leaves", () => {
		const vm = new Slots();
		const model = new Model();
		const next = numbers(seed * 7919);
		const some = <T>(values: readonly T[]): T => values[next(values.length)]!;
		// Writes to the table as the processor's stores would.
		const store = (id: number): void => {
			const slot = model.slots.get(id);
			if (slot?.dirty === undefined) return;
			const page = next(slot.pages);
			vm.store(id, page);
			slot.dirty.add(page);
		};
		let errors = 0;
		for (let n = 0; n < OPERATIONS / 3; n++) {
			const id = next(SLOTS);
			const known = model.slots.get(id);
			const kind = next(16);
			if (kind < 9) {
				// Often a change of what there is, sometimes anything at all.
				const keep = known !== undefined && next(3) > 0;
				const odd = next(40);
				const flags = odd === 0 ? some([4, 8, 1 << 16]) : keep && next(2) ? known.flags : next(4);
				const gpa = (keep && next(2) ? known.frame : next(FRAMES)) * PAGE + (odd === 1 ? 1 : 0);
				const size = (next(6) === 0 ? 0 : keep ? known.pages : 1 + next(PAGES_MAX)) * PAGE + (odd === 2 ? 1 : 0);
				const hva = (keep ? known.hva : HVA + next(64) * PAGE) + (odd === 3 ? 512 : 0);
				const slot = odd === 4 ? 32764 + next(3) : id;
				const wanted = model.set(slot, flags, gpa, size, hva);
				if (wanted !== 0) errors++;
				expect(vm.set(slot, flags, gpa, size, hva)).toBe(wanted);
			} else if (kind < 12) store(id);
			else if (kind < 14) expect(vm.dirty(id)).toEqual(model.dirty(id));
			else if (kind === 14 && known?.dirty) {
				const bits = [next(known.pages), next(known.pages)];
				expect(vm.clear(id, known.pages, 0, bits)).toBe(0);
				for (const bit of bits) known.dirty.delete(bit);
			} else if (kind === 15) {
				const mode = some([0n, 1n, 3n]);
				expect(vm.log.enableManualProtect(mode)).toBe(0);
				model.manual = (mode & 1n) !== 0n;
				model.initiallySet = mode === 3n;
			}
			if (n % 16 !== 0) continue;
			const map = [...model.slots].sort(([, a], [, b]) => a.frame - b.frame);
			expect(vm.map()).toEqual(map.map(([slot, { frame, pages }]) => `${slot}:${frame}+${pages}`));
			const frame = next(FRAMES + PAGES_MAX);
			const holder = map.find(([, slot]) => frame >= slot.frame && frame < slot.frame + slot.pages);
			expect(vm.slots.find(frame * PAGE)?.slot).toBe(holder?.[0]);
		}
		expect(errors).toBeGreaterThan(OPERATIONS / 100);
	}, 60_000);
});
