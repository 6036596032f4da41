import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { rebuildImages } from "../support/rebuilt-images.ts";
import { writerCode } from "./writer.ts";

describeWith(["nasm"], "test/flash/build.sh", () => {
	test("gives the committed image, byte for byte", () => {
		const images = rebuildImages(fileURLToPath(new URL("build.sh", import.meta.url)));
		expect([...images.keys()]).toEqual(["writer.bin"]);
		expect(Buffer.compare(images.get("writer.bin")!, writerCode()), "writer.bin differs: run build.sh").toBe(0);
	});
});
