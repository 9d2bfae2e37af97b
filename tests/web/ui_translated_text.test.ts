// A translator takes text nodes away. What the page puts in and takes out must therefore be elements: they stay.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, type AST } from 'svelte/compiler';
import { expect, test } from 'vitest';

const source = fileURLToPath(new URL('../../apps/web/src/', import.meta.url));
const components = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.svelte'),
);

type Node = AST.Fragment['nodes'][number];

/** Text that stands at the top of a fragment which comes and goes: a block, a snippet, a component. */
function looseText(code: string): string[] {
  const found: string[] = [];
  const visit = (fragment: AST.Fragment | null | undefined, comesAndGoes: boolean): void => {
    for (const node of fragment?.nodes ?? []) {
      if (comesAndGoes && isText(node)) found.push(code.slice(node.start, node.end).trim());
      for (const [inner, leaves] of fragmentsOf(node)) visit(inner, leaves);
    }
  };
  visit(parse(code, { modern: true }).fragment, true);
  return found;
}

function isText(node: Node): boolean {
  return (node.type === 'Text' && node.data.trim() !== '') || node.type === 'ExpressionTag';
}

function fragmentsOf(node: Node): [AST.Fragment | null | undefined, boolean][] {
  if (node.type === 'IfBlock')
    return [
      [node.consequent, true],
      [node.alternate, true],
    ];
  if (node.type === 'EachBlock')
    return [
      [node.body, true],
      [node.fallback, true],
    ];
  if (node.type === 'SnippetBlock') return [[node.body, true]];
  if ('fragment' in node)
    return [[node.fragment, node.type === 'KeyBlock' || node.type === 'Component']];
  return [];
}

test.each(components)('%s puts in and takes out elements alone', (path) => {
  expect(looseText(readFileSync(join(source, path), 'utf8'))).toEqual([]);
});

test('loose text is found in each kind of block', () => {
  expect(looseText('<p>{a}, {b}</p>')).toEqual([]);
  expect(looseText('<p>{#if a}one{:else}{two}{/if}</p>')).toEqual(['one', '{two}']);
  expect(looseText('{#each list as item (item)}<b>{item}</b>, {/each}')).toEqual([',']);
  expect(looseText('{#snippet s()}{x}{/snippet}')).toEqual(['{x}']);
  expect(looseText('<Part>{x}</Part>{y}')).toEqual(['{x}', '{y}']);
});
