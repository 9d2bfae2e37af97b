// Names of units in both languages, and features of a dictionary as units.
import { expect, test } from 'vitest';
import { featureUnit } from '../../apps/web/src/contract/dashboard_unit';
import { dictionaryOfKind, featuresName } from '../../apps/web/src/contract/validate_dictionaries';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import { FIELDS } from '../../apps/web/src/url/fields';
import { parseHash } from '../../apps/web/src/url/hash_state';
import { kindName, unitName, unitWords } from '../../apps/web/src/views/units/unit_name';

const { en, zh } = DICTIONARIES;
const description = { reads: { kind: 'mlp_output', layer: 11 } };
const feature = featureUnit({ name: 'mlp_11', description } as never, 17);
const neuron = { kind: 'mlp_act', layer: 3, unit: 5 };

test('a feature is a unit of the layer that its dictionary reads, and a link names it', () => {
  expect(feature).toEqual({ kind: 'features_mlp_11', layer: 11, unit: 17 });
  expect(FIELDS.unit.format(feature)).toBe('features_mlp_11.11.17');
  expect(parseHash('#unit=features_mlp_11.11.17').unit).toEqual(feature);
  expect(dictionaryOfKind(featuresName('mlp_11'))).toBe('mlp_11');
  expect(dictionaryOfKind('mlp_act')).toBeNull();
});

test('units have names in both languages', () => {
  expect(unitWords(feature, en)).toBe('feature 17 of mlp_11');
  expect(unitWords(feature, zh)).toBe('mlp_11 的特征 17');
  expect(unitWords(neuron, en)).toBe('neuron 5');
  expect(unitWords(neuron, zh)).toBe('神经元 5');
  expect(unitName(feature, en)).toBe(`${en.layerShort(11)} · feature 17 of mlp_11`);
  expect([kindName(feature.kind, en), kindName(neuron.kind, en)]).toEqual([
    'Features of mlp_11',
    'Neurons',
  ]);
  expect(kindName(feature.kind, zh)).toBe('mlp_11 的特征');
});
