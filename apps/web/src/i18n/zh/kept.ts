// Chinese: the models kept on this device.
import type { Dictionary } from '../shape';

export const kept: Dictionary['kept'] = {
  title: '保留在本设备上的模型',
  caption: '打开过的模型会留在浏览器的存储空间里：下次访问无需重新下载，没有网络也能打开。',
  none: '还没有保留任何模型。',
  unavailable:
    '浏览器不为本页面保留数据（例如处于无痕窗口或受沙盒限制的框架中、页面未使用 TLS，或存储空间没有响应）：每次访问都要重新下载模型，没有网络时无法打开。',
  opened: (time) => `上次打开：${time}`,
  older: '旧版本',
  olderMeaning: '此后打开过更新的版本。空间不足时，先清除旧版本。',
  quota: (used, quota) => `已用 ${used}，浏览器给本网站的上限约 ${quota}`,
  persistence: {
    persistent: '会一直保留：浏览器不会自行清除。',
    evictable: '磁盘空间不足时，浏览器可能会清除这些数据。',
    unknown: '浏览器没有说明是否会清除这些数据。',
  },
  keep: '长期保留',
  outcomes: {
    granted: '浏览器已同意长期保留。',
    denied: '浏览器暂未同意长期保留。收藏或安装本页面、或多访问几次之后，它可能会同意。',
    unavailable: '浏览器不支持申请长期保留。',
  },
  remove: '移除',
  removeAll: '全部移除',
  sure: (name) => `移除 ${name} 的所有版本？`,
  sureAll: '移除所有模型？',
  yes: '确认移除',
  no: '取消',
  removalFailed: '未能移除：请刷新页面后重试。',
  since: (time) => `从本设备打开，版本截至 ${time}：未能向原地址查询是否有更新。`,
  noRoom: '空间不足，未能保留这个模型：下次访问需要重新下载。',
  see: '查看已保留的模型',
  here: '已保留',
};
