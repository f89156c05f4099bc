import assert from 'node:assert/strict';
import { TraceDraw } from '../../../packages/kit/src/telemetry/trace-draw.ts';

/** Numbers from 0 to 1 that are the same in each run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function drawn(draw: TraceDraw, tries: number): number[] {
  const at: number[] = [];
  for (let i = 0; i < tries; i++) if (draw.next()) at.push(i);
  return at;
}

describe('kit: drawing of traces', () => {
  it('draws none at ratio 0 and asks for no random number, and every one at ratio 1', () => {
    const never = new TraceDraw(0, () => assert.fail('nothing is drawn'));
    assert.deepEqual(drawn(never, 10_000), []);
    assert.equal(drawn(new TraceDraw(1, Math.random), 1_000).length, 1_000);
  });

  for (const ratio of [0.5, 0.1, 0.001]) {
    it(`draws the share of ${ratio}, at gaps that vary as those of independent draws do`, () => {
      const tries = 400_000;
      const at = drawn(new TraceDraw(ratio, randomOf(7)), tries);
      const expected = tries * ratio;
      // Five standard deviations.
      assert.ok(Math.abs(at.length - expected) < 5 * Math.sqrt(expected * (1 - ratio)), String(at.length));
      const gaps = at.slice(1).map((value, i) => value - (at[i] ?? 0));
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
      const spread = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
      const geometric = Math.sqrt(1 - ratio) / ratio;
      assert.ok(spread > geometric * 0.8 && spread < geometric * 1.2, `${spread} of ${geometric}`);
    });
  }

  it('asks for a random number once a draw, not once a try', () => {
    let asked = 0;
    const draw = new TraceDraw(0.01, () => {
      asked++;
      return 0.5;
    });
    const hits = drawn(draw, 1_000).length;
    assert.equal(asked, hits + 1);
  });

  it('takes the smallest ratio and the largest random number there are', () => {
    assert.deepEqual(drawn(new TraceDraw(Number.MIN_VALUE, () => 0.999_999_999), 1_000), []);
    assert.deepEqual(drawn(new TraceDraw(0.5, () => 1 - Number.EPSILON), 40), []);
  });
});
