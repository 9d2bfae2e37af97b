// Chinese: what holds for every view.
import type { Dictionary } from '../shape';

export const views: Dictionary['views'] = {
  notLoaded: (title) =>
    `此处缺少“${title}”：页面的这一部分没有加载成功。请检查网络后重试；如果页面刚刚更新过，请重新加载。`,
  reload: '重新加载页面',
};
