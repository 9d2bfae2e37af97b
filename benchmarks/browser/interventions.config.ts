// Runs interventions.spec.ts alone; benchmarks/page_interventions.py starts it.
import loading from './loading.config';

export default {
  ...loading,
  testMatch: 'interventions.spec.ts',
  outputDir: '../../test-results/browser/interventions',
};
