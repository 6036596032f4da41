import { hex, isFilled, u8At, u16At } from "../../uefi/bytes.ts";
import { vendorName } from "../../uefi/guid-names.ts";
import { attributesText, type Variable, type VariableRecord, variableLabel } from "../../uefi/variable-store.ts";
import { decodeValue, valueText } from "../../uefi/variable-values.ts";
import { address, type PlacedStore } from "./firmware-file.ts";
import type { Style } from "./style.ts";

/** A variable in one line, and one more for each record that it had before. */
export function variableLines(variable: Variable, { offset }: PlacedStore, style: Style, history = true): string[] {
	const { guid, name, current } = variable;
	const label = variableLabel(guid, name);
	const lines: string[] = [];
	if (current !== undefined) {
		const attributes = attributesText(current.attributes);
		const line = style.fit(`${label}  ${attributes}  ${recordText(current)}`);
		lines.push(`${style.paint("name", line.slice(0, label.length))}${line.slice(label.length)}`);
	} else if (history) {
		lines.push(style.fit(`${label}  deleted`));
	}
	if (!history) return lines;
	for (const record of variable.history) {
		if (record === current && record.state === "added") continue;
		const text = `    ${address(offset + record.offset)}  ${record.state}  ${recordText(record)}`;
		lines.push(style.paint("quiet", style.fit(text)));
	}
	return lines;
}

function recordText(record: VariableRecord): string {
	if (record.state === "header valid only") return `never completed: ${record.data.length} bytes`;
	const time = timeText(record.time);
	const value = valueText(record.guid, record.name, record.data);
	return time === undefined ? value : `${value}, signed ${time}`;
}

/** EFI_TIME (UEFI 2.10, 8.3); undefined where it is all zero. */
export function timeText(time: Uint8Array | undefined): string | undefined {
	if (time === undefined || isFilled(time, 0)) return undefined;
	const two = (at: number): string => String(u8At(time, at)).padStart(2, "0");
	return `${u16At(time, 0)}-${two(2)}-${two(3)}T${two(4)}:${two(5)}:${two(6)}`;
}

/** A variable for programs. */
export function variableJson(variable: Variable, { offset }: PlacedStore): object {
	const { guid, name, current, history } = variable;
	return {
		name,
		guid,
		vendor: vendorName(guid),
		...(current === undefined ? { deleted: true } : recordJson(current, offset)),
		history: history.filter((record) => record !== current).map((record) => recordJson(record, offset)),
	};
}

function recordJson(record: VariableRecord, storeOffset: number): object {
	const { state, attributes, data, guid, name } = record;
	const value = decodeValue(guid, name, data)?.json;
	const time = timeText(record.time);
	return {
		offset: storeOffset + record.offset,
		state,
		attributes,
		...(time === undefined ? {} : { signed: time }),
		...(value === undefined ? {} : { value }),
		data: hex(data),
	};
}
