// Pictures that stand alone: no text of a model ends an element, and cells have the colours of their values.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cellsSvg, type CellsPicture } from '../../apps/web/src/charts/cells_svg';
import { colourOf, type ValueScale } from '../../apps/web/src/charts/colour_ramps';
import { escaped } from '../../apps/web/src/charts/svg_frame';
import { editWords } from '../../apps/web/src/reproduce/edit_words';

const scale: ValueScale = { kind: 'signed', limit: 2, root: false };

function picture(text: string): CellsPicture {
  return {
    ...{ title: text, caption: [text, text], columns: [text, ''], scale, theme: 'dark' },
    cell: { width: 30, height: 20 },
    labelWidth: 40,
    rows: [
      { label: text, values: [1, -2], texts: [text, text] },
      { label: '', values: [0, 0.5], texts: null },
    ],
  };
}

test('every text becomes text that XML allows', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const safe = escaped(text);
      expect(safe).not.toMatch(/[<>"]|&(?!amp;|lt;|gt;|quot;)/);
      // eslint-disable-next-line no-control-regex
      expect(safe).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/);
      // eslint-disable-next-line no-control-regex
      const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
      const back = safe
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&');
      expect(back).toBe(text.replace(forbidden, '\ufffd'));
    }),
  );
  expect(escaped('a\ud800b')).toBe('a\ufffdb');
});

test('a picture of cells has no elements but its own, whatever the texts are', () => {
  const svg = cellsSvg(picture('</text><script>&"\u0000'));
  expect(svg).not.toContain('<script');
  expect(new Set(Array.from(svg.matchAll(/<(\w+)/g), ([, name]) => name))).toEqual(
    new Set(['svg', 'rect', 'text', 'g']),
  );
});

test('cells stand in their rows and columns with the colours of their values', () => {
  const cells = Array.from(
    cellsSvg(picture('a')).matchAll(/<rect x="(\d+)" y="(\d+)"[^>]* fill="(rgb[^"]+)"/g),
    ([, x, y, fill]) => ({ x: Number(x), y: Number(y), fill }),
  );
  const top = cells[0]?.y ?? 0;
  expect(cells).toEqual(
    [
      [1, -2],
      [0, 0.5],
    ].flatMap((row, at) =>
      row.map((value, column) => ({
        x: 40 + 30 * column,
        y: top + 20 * at,
        fill: colourOf(value, scale, 'dark'),
      })),
    ),
  );
});

test('an edit is said in a few words', () => {
  expect(editWords({ edit: 'scale', joint: 'attn_z', layer: 5, head: 2 })).toBe(
    'scale by 0 at layer_5_attn_z head 2',
  );
  expect(editWords({ edit: 'knock-out', layer: 1, query: { start: 3 }, key: [0, 2] })).toBe(
    'knock-out at layer_1_attn_scores token 3 to the last key 0, 2',
  );
  const vector = Float32Array.of(1, 2);
  expect(editWords({ edit: 'add', joint: 'resid_post', layer: 0, vector, strength: 4 })).toBe(
    'add times 4 at layer_0_resid_post',
  );
});
