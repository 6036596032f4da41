import { plural } from "../../base/plural.ts";
import type { FirmwareImage } from "../../uefi/image.ts";
import { variablesOf } from "../../uefi/variable-store.ts";
import { blockSizeOf, readFirmware, storesOf } from "./firmware-file.ts";
import { pieceJson, pieceLines } from "./piece-lines.ts";
import { outputStyle, type Style } from "./style.ts";
import { variableJson, variableLines } from "./variable-lines.ts";

export interface InfoOptions {
	readonly format: "text" | "json";
	/** Also sections, padding and free space. */
	readonly sections: boolean;
	/** Leaves out what variables were before. */
	readonly brief: boolean;
}

/** `tsvmm flash info`: what a flash image consists of. */
export async function flashInfo(file: string, options: InfoOptions): Promise<string> {
	const image = readFirmware(file);
	if (options.format === "json") return `${JSON.stringify(infoJson(file, image), null, "\t")}\n`;
	return `${infoLines(file, image, await outputStyle(), options).join("\n")}\n`;
}

function infoLines(file: string, image: FirmwareImage, style: Style, options: InfoOptions): string[] {
	const { title, bytes, pieces } = image;
	const lines = [style.paint("title", style.fit(`${file}: ${title}, ${sizeText(bytes.length, blockSizeOf(image))}`))];
	lines.push(...pieceLines(pieces, style, options));
	for (const place of storesOf(image)) {
		const variables = variablesOf(place.store.records);
		if (variables.length === 0) continue;
		const alive = variables.filter(({ current }) => current !== undefined).length;
		lines.push("", style.paint("title", `${plural(alive, "variable")}:`));
		for (const variable of variables) lines.push(...variableLines(variable, place, style, !options.brief));
	}
	return lines;
}

function sizeText(size: number, block: number): string {
	const whole = `${plural(size, "byte")}`;
	return size % block === 0 ? `${whole} (${plural(size / block, "block")} of ${block})` : whole;
}

function infoJson(file: string, image: FirmwareImage): object {
	const { title, bytes, pieces } = image;
	return {
		file,
		title,
		size: bytes.length,
		blockSize: blockSizeOf(image),
		pieces: pieces.map(pieceJson),
		stores: storesOf(image).map((place) => ({
			offset: place.offset,
			size: place.store.size,
			authenticated: place.store.authenticated,
			variables: variablesOf(place.store.records).map((variable) => variableJson(variable, place)),
		})),
	};
}
