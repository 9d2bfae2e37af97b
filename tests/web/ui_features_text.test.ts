// The sentences of the features view, in both languages.
import { expect, test } from 'vitest';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';

const { zh } = DICTIONARIES;

test('Chinese has no space inside its sentences but beside letters and digits', () => {
  const { places } = zh.interventions;
  const { kinds, reads } = zh.features;
  expect(kinds.sae(places.resid_post(3))).toBe('第 3 层之后的残差流的稀疏自编码器');
  expect(kinds.sae(places.mlp_output(3))).toBe('第 3 层的整个 MLP 的稀疏自编码器');
  expect(kinds.transcoder(places.mlp_output(3))).toBe('写出第 3 层的整个 MLP 的转码器');
  expect(reads(places.resid_mid(3))).toBe('由第 3 层中间的残差流计算');
});
