// First code points of the Unicode blocks whose letters or digits survive canonicalisation, ascending. Blocks of
// symbols, of compatibility forms and of private use are left out: none of their characters is ever kept, so no
// boundary can be seen there. New blocks in a gap count as part of the block before.
const HEX_STARTS = `
0 80 100 180 250 2b0 370 400 500 530 590 600 700 750 780 7c0 800 840 860 870 8a0 900 980 a00 a80 b00 b80 c00 c80
d00 d80 e00 e80 f00 1000 10a0 1100 1200 1380 13a0 1400 1680 16a0 1700 1720 1740 1760 1780 1800 18b0 1900 1950 1980
1a00 1a20 1b00 1b80 1bc0 1c00 1c50 1c80 1cd0 1d00 1d80 1e00 1f00 2100 2150 2c00 2c60 2c80 2d00 2d30 2d80 2e00 3000
3040 30a0 3100 31a0 31f0 3400 4e00 a000 a4d0 a500 a640 a6a0 a700 a720 a800 a840 a880 a8e0 a900 a930 a960 a980 a9e0
aa00 aa60 aa80 aae0 ab00 ab30 ab70 abc0 ac00 d7b0 f900 fe70 10000 10080 10280 102a0 10300 10330 10350 10380 103a0
10400 10450 10480 104b0 10500 10530 10570 10600 10780 10800 10840 10860 10880 108e0 10900 10920 10980 109a0 10a00
10a60 10a80 10ac0 10b00 10b40 10b60 10b80 10c00 10c80 10d00 10e80 10f00 10f30 10f70 10fb0 10fe0 11000 11080 110d0
11100 11150 11180 11200 11280 112b0 11300 11400 11480 11580 11600 11680 11700 11800 118a0 11900 119a0 11a00 11a50
11ab0 11ac0 11c00 11c70 11d00 11d60 11ee0 11fb0 12000 12480 12f90 13000 13430 14400 16800 16a40 16a70 16ad0 16b00
16e40 16f00 16fe0 17000 18800 18b00 18d00 1aff0 1b000 1b100 1b130 1b170 1bc00 1df00 1e100 1e290 1e2c0 1e7e0 1e800
1e900 20000 2a700 2b740 2b820 2ceb0 30000
`;

const BLOCK_STARTS = Uint32Array.from(HEX_STARTS.trim().split(/\s+/), (start) => parseInt(start, 16));

/**
 * Ordinal of the Unicode block that holds `codePoint`; only equality of two results means anything
 * (docs/protocol/05-qrp.md §1.1, step 6).
 */
export function unicodeBlockOf(codePoint: number): number {
  let low = 0;
  let high = BLOCK_STARTS.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((BLOCK_STARTS[middle] as number) <= codePoint) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Whether `unicodeBlockOf(codePoint)` is `block`, without the search. */
export function isInUnicodeBlock(block: number, codePoint: number): boolean {
  return codePoint >= (BLOCK_STARTS[block - 1] ?? Infinity) && codePoint < (BLOCK_STARTS[block] ?? Infinity);
}
