// Which part of a map is drawn, and what its cells stand for where tokens outnumber pixels.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cellAt, layoutAttention, nearestCell } from '../../apps/web/src/charts/attention_layout';
import {
  cellDrawnAt,
  drawnCells,
  printedValues,
  tokensPerCell,
} from '../../apps/web/src/charts/drawn_cells';
import {
  moved,
  pinched,
  shownWindow,
  SMALLEST_SPAN,
  wholeMap,
  windowBetween,
  windowShowing,
  withSpan,
  type Cell,
  type MapWindow,
} from '../../apps/web/src/charts/map_window';

const MASKED = -1e30;

/** A causal map of scores, and a window of it. */
const mapWithWindow = fc.integer({ min: 1, max: 40 }).chain((tokens) =>
  fc.record({
    values: fc.array(
      fc.array(fc.oneof(fc.float({ min: -9, max: 9, noNaN: true }), fc.constant(-3.4e38)), {
        minLength: tokens,
        maxLength: tokens,
      }),
      { minLength: tokens, maxLength: tokens },
    ),
    window: fc
      .record({ row: fc.nat(tokens), column: fc.nat(tokens), span: fc.nat(tokens) })
      .map((wanted) => shownWindow(wanted, tokens)),
    perCell: fc.integer({ min: 1, max: 5 }),
  }),
);

test('a drawn cell has the value furthest from 0 of the cells it stands for, and the pointer reads that one', () => {
  fc.assert(
    fc.property(mapWithWindow, ({ values, window, perCell }) => {
      const rowOf = (query: number): number[] => (values[query] ?? []).slice(0, query + 1);
      const drawn = drawnCells(rowOf, MASKED, window, perCell);
      const inWindow = Array.from({ length: window.span }, (_, down) =>
        Array.from({ length: window.span }, (_, across): Cell => ({
          row: window.row + down,
          column: window.column + across,
        })),
      ).flat();
      for (let y = 0; y < drawn.rows; y++) {
        const row = drawn.row(y);
        for (let x = 0; x < drawn.columns; x++) {
          const covered = inWindow.filter(
            ({ row, column }) =>
              Math.floor((row - window.row) / perCell) === y &&
              Math.floor((column - window.column) / perCell) === x,
          );
          const seen = covered
            .map(({ row, column }) => rowOf(row)[column])
            .filter((value) => value !== undefined && value > MASKED);
          const most = Math.max(...seen.map((value) => Math.abs(value ?? NaN)));
          const value = row[x] ?? NaN;
          if (seen.length === 0) expect(value > MASKED).toBe(false);
          else expect([most, -most]).toContain(value);
          for (const cell of covered) {
            const read = cellDrawnAt(rowOf, MASKED, window, perCell, cell);
            expect(covered).toContainEqual(read);
            if (seen.length > 0) expect(rowOf(read.row)[read.column]).toBe(value);
          }
        }
      }
    }),
  );
});

test('numbers stand in the cells that have a value, and in no other', () => {
  fc.assert(
    fc.property(mapWithWindow, ({ values, window }) => {
      const rowOf = (query: number): number[] => (values[query] ?? []).slice(0, query + 1);
      const printed = new Map(
        printedValues(rowOf, MASKED, window).map((cell) => [
          `${cell.row + window.row} ${cell.column + window.column}`,
          cell.value,
        ]),
      );
      let expected = 0;
      for (let row = window.row; row < window.row + window.span; row++)
        for (let column = window.column; column < window.column + window.span; column++) {
          const value = rowOf(row)[column];
          if (value === undefined || !(value > MASKED)) continue;
          expected++;
          expect(printed.get(`${row} ${column}`)).toBe(value);
        }
      expect(printed.size).toBe(expected);
    }),
  );
});

test('as many cells are drawn as there are pixels, and no fewer than needed', () => {
  expect(tokensPerCell(512, 512)).toBe(1);
  expect(tokensPerCell(513, 512.9)).toBe(2);
  expect(tokensPerCell(1024, 340)).toBe(4);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.double({ min: 1, max: 3000, noNaN: true }),
      (span, side) => {
        const perCell = tokensPerCell(span, side);
        expect(Math.ceil(span / perCell)).toBeLessThanOrEqual(Math.floor(side));
        if (perCell > 1) expect(Math.ceil(span / (perCell - 1))).toBeGreaterThan(Math.floor(side));
      },
    ),
  );
});

const isInside = ({ row, column, span }: MapWindow, tokens: number): boolean =>
  row >= 0 && column >= 0 && row + span <= tokens && column + span <= tokens;
const holds = (window: MapWindow, { row, column }: Cell): boolean =>
  row >= window.row &&
  row < window.row + window.span &&
  column >= window.column &&
  column < window.column + window.span;

test('no way of looking closer or moving leaves the map or loses the cell it is about', () => {
  const cells = fc.integer({ min: SMALLEST_SPAN, max: 2000 }).chain((tokens) =>
    fc.record({
      tokens: fc.constant(tokens),
      from: fc.record({ row: fc.nat(tokens - 1), column: fc.nat(tokens - 1) }),
      to: fc.record({ row: fc.nat(tokens - 1), column: fc.nat(tokens - 1) }),
      span: fc.double({ min: 0.1, max: 3000, noNaN: true }),
    }),
  );
  fc.assert(
    fc.property(cells, ({ tokens, from, to, span }) => {
      const marked = windowBetween(from, to, tokens);
      expect(isInside(marked, tokens)).toBe(true);
      expect(holds(marked, from) && holds(marked, to)).toBe(true);
      const closer = withSpan(marked, span, to, tokens);
      expect(isInside(closer, tokens)).toBe(true);
      expect(holds(closer, to)).toBe(true);
      expect(closer.span).toBe(Math.min(tokens, Math.max(SMALLEST_SPAN, Math.round(span))));
      const following = windowShowing(closer, from);
      expect(isInside(following, tokens)).toBe(true);
      expect(holds(following, from)).toBe(true);
      for (const [down, across] of [
        [0, 1],
        [0, -1],
        [1, 0],
        [-1, 0],
      ] as const)
        // prettier-ignore
        expect(isInside(moved(closer, down, across, tokens), tokens)).toBe(true);
    }),
  );
});

test('the whole map is shown for a window that leaves nothing out, also after the text is cut', () => {
  expect(shownWindow(null, 90)).toEqual(wholeMap(90));
  // From links: beyond the text, and closer than any look on the page.
  expect(shownWindow({ row: 999_999, column: 0, span: 20 }, 90)).toEqual({ row: 70, column: 0, span: 20 }); // prettier-ignore
  expect(shownWindow({ row: 3, column: 999_999, span: 1 }, 90)).toEqual({ row: 3, column: 82, span: 8 }); // prettier-ignore
  expect(shownWindow({ row: 999_999, column: 999_999, span: 999_999 }, 90)).toEqual(wholeMap(90));
  expect(shownWindow({ row: 60, column: 10, span: 20 }, 90)).toEqual({ row: 60, column: 10, span: 20 }); // prettier-ignore
  expect(shownWindow({ row: 60, column: 10, span: 20 }, 70)).toEqual({ row: 50, column: 10, span: 20 }); // prettier-ignore
  expect(shownWindow({ row: 60, column: 10, span: 20 }, 15)).toEqual(wholeMap(15));
  expect(shownWindow({ row: 60, column: 10, span: 20 }, 0)).toEqual(wholeMap(0));
});

test('a closer look about the middle goes to the middle, and back to the whole', () => {
  expect(withSpan(wholeMap(64), 32, null, 64)).toEqual({ row: 16, column: 16, span: 32 });
  expect(withSpan({ row: 16, column: 16, span: 32 }, 64, null, 64)).toEqual(wholeMap(64));
});

test('labels and cells of a part are those of its own tokens, and the plot does not move', () => {
  const labels = Array.from({ length: 300 }, (_, at) => `t${at}`);
  const window = { row: 250, column: 3, span: 10 };
  const layout = layoutAttention(labels, 560, window);
  expect(layout.rowLabels.map(({ text }) => text)).toEqual(labels.slice(250, 260));
  expect(layout.columnLabels.map(({ text }) => text)).toEqual(labels.slice(3, 13));
  expect(layout.left).toBe(layoutAttention(labels, 560).left);
  const at = (place: number): number => layout.left + (place + 0.5) * layout.cell;
  expect(cellAt(layout, at(0), at(0))).toEqual({ row: 250, column: 3 });
  expect(cellAt(layout, at(9), at(2))).toEqual({ row: 252, column: 12 });
  expect(cellAt(layout, at(10), at(2))).toBeNull();
  expect(nearestCell(layout, at(99), -50)).toEqual({ row: 250, column: 12 });
});

test('after a pinch the fingers are on the tokens that they took hold of, unless the map ends there', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 900 }),
      fc.record({ row: fc.nat(900), column: fc.nat(900), span: fc.nat(900) }),
      fc.double({ min: 0.05, max: 20, noNaN: true }),
      fc.record({ across: share, down: share }),
      fc.record({ across: share, down: share }),
      (tokens, wanted, spread, from, to) => {
        const before = shownWindow(wanted, tokens);
        const after = pinched(before, spread, from, to, tokens);
        for (const [start, along, alongNow] of [
          ['row', from.down, to.down],
          ['column', from.across, to.across],
        ] as const) {
          expect(after[start]).toBeGreaterThanOrEqual(0);
          expect(after[start] + after.span).toBeLessThanOrEqual(tokens);
          const held = before[start] + along * before.span;
          const under = after[start] + alongNow * after.span;
          const atEnd = after[start] === 0 || after[start] + after.span === tokens;
          if (!atEnd) expect(Math.abs(under - held)).toBeLessThanOrEqual(0.5 + 1e-9);
        }
        const least = Math.min(SMALLEST_SPAN, tokens);
        expect(after.span).toBeGreaterThanOrEqual(least);
        const ideal = Math.min(tokens, Math.max(least, before.span / spread));
        expect(Math.abs(after.span - ideal)).toBeLessThanOrEqual(0.5);
      },
    ),
  );
});
