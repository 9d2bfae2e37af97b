// What the page's policy says of scripts, and where it lets models come from. Browsers' part: site_policy.spec.ts.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { policyFor } from '../../apps/web/plugins/content_security_policy';

function sources(policy: string, directive: string): string[] {
  const found = policy.split('; ').find((each) => each.startsWith(`${directive} `));
  return found?.split(' ').slice(1) ?? [];
}

test('models’ origins are for connections alone', () => {
  const policy = policyFor(['https://models.example', 'https:']);
  expect(sources(policy, 'connect-src')).toEqual(["'self'", 'https://models.example', 'https:']);
  expect(policy.match(/https:/g)).toHaveLength(2);
});

test('nothing is allowed that a directive does not name, and no code from strings', () => {
  const policy = policyFor([]);
  expect(sources(policy, 'default-src')).toEqual(["'none'"]);
  expect(sources(policy, 'script-src')).toEqual(["'self'", "'wasm-unsafe-eval'"]);
  expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|\*|blob:/);
});

test('the guide tells hosts this very policy', () => {
  const guide = readFileSync(new URL('../../docs/deployment.md', import.meta.url), 'utf8');
  const told = guide.match(/default-src 'none'[^"\n]*/g);
  expect(told).toEqual(Array(2).fill(`${policyFor([])}; frame-ancestors 'self'`));
});
