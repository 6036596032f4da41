/** What the character ROM shows for codes 0x00..0x1F. */
const LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
/** And for 0x7F..0xFF: code page 437. */
const HIGH =
	"⌂" +
	"ÇüéâäàåçêëèïîìÄÅ" +
	"ÉæÆôöòûùÿÖÜ¢£¥₧ƒ" +
	"áíóúñÑªº¿⌐¬½¼¡«»" +
	"░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
	"└┴┬├─┼╞╟╚╔╩╦╠═╬╧" +
	"╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
	"αßΓπΣσµτΦΘΩδ∞φε∩" +
	"≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

/** A character of the VGA's text mode in Unicode. */
export function fromCodePage437(code: number): string {
	if (code < 0x20) return LOW.charAt(code);
	return code < 0x7f ? String.fromCharCode(code) : HIGH.charAt(code - 0x7f);
}
