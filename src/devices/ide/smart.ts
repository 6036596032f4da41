import { LBA_HIGH, LBA_MID, type TaskFile } from "./task-file.ts";

/** What the LBA registers hold in every SMART command, and where a status is reported. */
const KEY = [0x4f, 0xc2] as const;
const BYTES = 512;

const READ_DATA = 0xd0;
const READ_THRESHOLDS = 0xd1;
const AUTOSAVE = 0xd2;
const SAVE_VALUES = 0xd3;
const OFFLINE = 0xd4;
const READ_LOG = 0xd5;
const ENABLE = 0xd8;
const DISABLE = 0xd9;
const RETURN_STATUS = 0xda;

/** Attributes of a drive to which nothing happens: number, flags, value, threshold (as drives of the time have them). */
const ATTRIBUTES: readonly (readonly [id: number, flags: number, value: number, threshold: number])[] = [
	[1, 0x03, 100, 6],
	[3, 0x03, 100, 0],
	[4, 0x02, 100, 20],
	[5, 0x03, 100, 36],
	[9, 0x03, 100, 0],
	[12, 0x03, 100, 0],
	[190, 0x03, 69, 50],
];

export interface SmartState {
	enabled: boolean;
	autosave: boolean;
}

/** What a SMART command comes to: done, 512 bytes to read, or refused. */
export type SmartAnswer = "done" | "abort" | Uint8Array;

/** Self-monitoring of a disk that never fails (ATA/ATAPI-6, 8.41): no self-tests, empty logs. */
export class Smart {
	private state: SmartState = { enabled: true, autosave: true };

	get enabled(): boolean {
		return this.state.enabled;
	}

	/** `feature`: the subcommand. */
	execute(feature: number, task: TaskFile): SmartAnswer {
		if (task.get(LBA_MID) !== KEY[0] || task.get(LBA_HIGH) !== KEY[1]) return "abort";
		if (!this.enabled && feature !== ENABLE) return "abort";
		switch (feature) {
			case ENABLE:
			case DISABLE:
				this.state.enabled = feature === ENABLE;
				return "done";
			case AUTOSAVE:
				this.state.autosave = task.get(2) !== 0;
				return "done";
			case SAVE_VALUES:
			case OFFLINE:
				return "done";
			case RETURN_STATUS:
				// The key as it is: no threshold is exceeded.
				return "done";
			case READ_DATA:
				return checked(this.data());
			case READ_THRESHOLDS:
				return checked(thresholds());
			case READ_LOG:
				return checked(log(task.get(3)));
			default:
				return "abort";
		}
	}

	reset(): void {
		this.state = { enabled: true, autosave: true };
	}

	save(): SmartState {
		return { ...this.state };
	}

	load(state: SmartState): void {
		this.state = { ...state };
	}

	private data(): Uint8Array {
		const bytes = new Uint8Array(BYTES);
		bytes[0] = 1;
		ATTRIBUTES.forEach(([id, flags, value], n) => {
			bytes.set([id, flags, 0, value, value], 2 + 12 * n);
		});
		// Off-line data collection has never been started, or completed; saves attributes; has logs.
		bytes[362] = this.state.autosave ? 0x82 : 0x02;
		bytes.set([0x03, 0x00, 0x01], 368);
		return bytes;
	}
}

function thresholds(): Uint8Array {
	const bytes = new Uint8Array(BYTES);
	bytes[0] = 1;
	ATTRIBUTES.forEach(([id, , , threshold], n) => {
		bytes.set([id, threshold], 2 + 12 * n);
	});
	return bytes;
}

/** The directory, the summary of errors, the results of self-tests: there are none. */
function log(address: number): Uint8Array {
	const bytes = new Uint8Array(BYTES);
	if (address === 0) bytes.set([1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], 0);
	else bytes[0] = 1;
	return bytes;
}

/** The last byte makes the sum 0. */
function checked(bytes: Uint8Array): Uint8Array {
	bytes[BYTES - 1] = -bytes.reduce((sum, byte) => sum + byte, 0);
	return bytes;
}
