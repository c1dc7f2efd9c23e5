#include pose.glsl
in vec3 in_position;
in vec4 in_normal;
in vec4 in_color;
in vec4 place;
in vec4 size;
in vec4 tint;
in vec4 label;

flat out vec4 f_label;
#if COLOUR
out vec3 f_point;
out vec2 f_wall;          // metres along the wall from its middle, and up
flat out vec3 f_normal;
flat out vec4 f_paint;    // reflectance, seed
flat out vec4 f_light;
flat out vec2 f_extent;   // length of the wall, height
#endif

void main() {
    vec3 p = in_position * size.xyz;
    vec3 local = turned(p, place.zw) + vec3(place.xy, 0.0);
    gl_Position = clip_T_local * vec4(local, 1.0);
    f_label = label;
#if COLOUR
    vec3 m = unit_normal(in_normal);
    bool along_x = abs(m.y) > abs(m.x);
    f_wall = vec2(along_x ? p.x : p.y, p.z);
    f_extent = vec2(along_x ? size.x : size.y, size.z);
    vec3 n = normalize(turned(m, place.zw));
    vec3 root = mix(in_color.rgb, tint.rgb, in_color.a);
    f_paint = vec4(root * root, tint.a);
    f_light = vec4(mix(bounce_rgb_.rgb, sky_rgb_.rgb, 0.5 + 0.5 * n.z), max(dot(n, sun_.xyz), 0.0));
    f_point = local;
    f_normal = n;
#endif
}
